"""Django's pages and management API as a WSGI application; flagsite/asgi.py runs it in threads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")

application = get_wsgi_application()
