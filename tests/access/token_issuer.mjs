// An authorization server that we did not write, issuing tokens for whatever resource it is asked: node token_issuer.mjs
//
// Prints {"issuer": …} once it answers, and ends when its stdin does. alice and bob get tokens by client credentials, as
// themselves; MCP clients register themselves, and people log in on its pages. With `resource`, an access token is a
// signed JWT for it; without, it is opaque.
//   POST /control   {"access_ttl": seconds, "ahead": seconds that its clock is, "down": answer nothing but 503}
import http from 'node:http';
import { Provider } from 'oidc-provider';

const control = { access_ttl: 3600, ahead: 0, down: false };
const now = Date.now;
Date.now = () => now() + control.ahead * 1000;
const server = http.createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const person = (client_id) => ({
  client_id, client_secret: `${client_id} has a secret`, redirect_uris: [], response_types: [], grant_types: ['client_credentials'],
});

const provider = new Provider(issuer, {
  clients: [person('alice'), person('bob'), person('gateway')],
  scopes: ['openid', 'offline_access', 'tools', 'tools:destructive', 'mail'],
  claims: { openid: ['sub'] },
  cookies: { keys: ['loopback only'] },
  clientBasedCORS: () => true,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  ttl: {
    AccessToken: () => control.access_ttl, ClientCredentials: () => control.access_ttl,
    AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 3600,
  },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'tools tools:destructive mail',
        audience: resource,
        accessTokenFormat: new URL(resource).searchParams.has('opaque') ? 'opaque' : 'jwt',
        accessTokenTTL: control.access_ttl,
      }),
    },
  },
});

// Its signed tokens for a client itself name it as `sub` (RFC 9068 section 2.2); of its opaque ones it says so here.
provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.route === 'introspection' && ctx.body?.active) ctx.body.sub ??= ctx.body.client_id;
});

const handle = provider.callback();
async function json(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return JSON.parse(text);
}

server.on('request', async (request, response) => {
  if (request.url === '/control') {
    Object.assign(control, await json(request));
    return response.end('{}');
  }
  // A client registers for the scope that it needs first, and may ask for more later: here it is not held to the first.
  if (request.url === '/reg' && request.method === 'POST') request.body = { ...(await json(request)), scope: undefined };
  if (control.down) { response.writeHead(503); return response.end(); }
  return handle(request, response);
});

process.stdin.resume().on('end', () => process.exit(0));
console.log(JSON.stringify({ issuer }));
