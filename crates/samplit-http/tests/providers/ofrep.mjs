// What the public web provider makes of our answers. Arguments: base URL, API key, a flag.
import { OpenFeature } from '@openfeature/web-sdk';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';

const [base, key, flag] = process.argv.slice(2);
const statuses = [];
let heard = () => {};

const provider = (apiKey, pollInterval) =>
  new OFREPWebProvider({
    baseUrl: base,
    pollInterval,
    headers: [['X-API-Key', apiKey]],
    fetchImplementation: async (...request) => {
      const response = await fetch(...request);
      statuses.push(response.status);
      heard(response.status);
      return response;
    },
  });
const told = (details) => ({
  value: details.value,
  variant: details.variant ?? null,
  reason: details.reason,
  error: details.errorCode ?? null,
  assignment: details.flagMetadata?.assignment_id ?? null,
});

const said = {};
await OpenFeature.setContext({ targetingKey: 'node-ann', device: 'phone' });
await OpenFeature.setProviderAndWait(provider(key, 50));
const client = OpenFeature.getClient();
said.first = told(client.getObjectDetails(flag, {}));
said.unknown = told(client.getStringDetails('no-such-flag', 'mine'));
// It asks again by itself, and gets nothing new.
if (!statuses.includes(304)) {
  await new Promise((done) => {
    heard = (status) => status === 304 && done();
  });
}
said.statuses = [...new Set(statuses)];
said.again = told(client.getObjectDetails(flag, {}));
await OpenFeature.setProviderAndWait(provider('sk_wrong', 0)).catch((error) => {
  said.refused = error.code ?? error.name;
});
said.locked_out = told(client.getObjectDetails(flag, { mine: 1 }));
console.log(JSON.stringify(said));
await OpenFeature.close();
process.exit(0);
