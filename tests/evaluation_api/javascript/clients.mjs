// OpenFeature's own providers, unchanged: prints one JSON object of what they made of the answers.
// node clients.mjs URL SERVER_KEY CLIENT_KEY
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { OpenFeature as Server } from "@openfeature/server-sdk";
import { OpenFeature as Web } from "@openfeature/web-sdk";

const [url, serverKey, clientKey] = process.argv.slice(2);
const context = { targetingKey: "user-1", plan: "pro" };
const bearer = (key) => ({ baseUrl: url, headers: [["Authorization", `Bearer ${key}`]] });
const told = ({ value, variant, reason, errorCode, flagMetadata }) => ({
  value,
  variant,
  reason,
  errorCode,
  flagMetadata,
});

await Server.setProviderAndWait(new OFREPProvider(bearer(serverKey)));
const server = Server.getClient();
const onServer = {
  boolean: told(await server.getBooleanDetails("boolean", false, context)),
  string: told(await server.getStringDetails("string", "", context)),
  integer: told(await server.getNumberDetails("integer", 0, context)),
  float: told(await server.getNumberDetails("float", 0, context)),
  json: told(await server.getObjectDetails("json", {}, context)),
  ruled: told(await server.getBooleanDetails("ruled", true, context)),
  failed: told(await server.getBooleanDetails("failed", true, context)),
  undecided: told(await server.getBooleanDetails("undecided", true, context)),
  missing: told(await server.getBooleanDetails("missing", true, context)),
  keyless: told(await server.getBooleanDetails("split", true, {})),
};

await Web.setContext(context);
await Web.setProviderAndWait(new OFREPWebProvider(bearer(clientKey)));
const web = Web.getClient();
const inBrowser = {
  boolean: told(web.getBooleanDetails("boolean", false)),
  string: told(web.getStringDetails("string", "")),
  float: told(web.getNumberDetails("float", 0)),
  ruled: told(web.getBooleanDetails("ruled", true)),
  hidden: told(web.getBooleanDetails("failed", true)),
  undecided: told(web.getBooleanDetails("undecided", true)),
};
await Web.setContext({ targetingKey: "user-1", plan: "free" });
inBrowser.ruledForAnother = told(web.getBooleanDetails("ruled", true));

console.log(JSON.stringify({ onServer, inBrowser }));
await Server.close();
await Web.close();
process.exit(0);
