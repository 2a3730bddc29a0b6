// An identity provider on loopback: whoever signs in as NAME has the address NAME@DOMAIN of its
// form's login, verified unless the login begins with "unverified".
import http from "node:http";
import Provider from "oidc-provider";

const [port, callback] = process.argv.slice(2);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "flagsite",
      client_secret: "a secret of the tests",
      redirect_uris: [callback],
    },
  ],
  claims: { email: ["email", "email_verified"], profile: ["name", "preferred_username"] },
  cookies: { keys: ["tests"] },
  features: { devInteractions: { enabled: true } },
  findAccount: async (_, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id,
      email: id,
      email_verified: !id.startsWith("unverified"),
      preferred_username: id.split("@")[0],
    }),
  }),
});
http.createServer(provider.callback()).listen(Number(port), "127.0.0.1", () => console.log("ready"));
