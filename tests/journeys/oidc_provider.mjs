// A certified OpenID provider on a free loopback port, for the tests: node oidc_provider.mjs CLIENT_ID CLIENT_SECRET REDIRECT_URI
//
// Prints {"issuer": …} once it answers, and ends when its stdin does. People log in as whoever they say they are, on its
// real login and consent pages. Beside the protocol:
//   POST /control   {"access_ttl": seconds, "fail_refresh": how many of the next refreshes get a 503}
//   GET  /log       [{"event", "grant", "error"}] of every consent and token request, in order
import http from 'node:http';
import { Provider } from 'oidc-provider';

const [client_id, client_secret, redirect_uri] = process.argv.slice(2);
const control = { access_ttl: 3600, fail_refresh: 0 };
const log = [];

const server = http.createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const person = (id) => ({
  accountId: id,
  claims: () => ({
    sub: id, name: id, email: `${id}@example.test`, email_verified: true, groups: [id === 'ada' ? 'sales' : 'support'],
  }),
});

const provider = new Provider(issuer, {
  clients: [{
    client_id,
    client_secret,
    redirect_uris: [redirect_uri],
    application_type: 'native', // a loopback redirect URI holds for every port: RFC 8252 section 7.3
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
  cookies: { keys: ['loopback only'] },
  pkce: { required: () => true },
  findAccount: (_, id) => person(id),
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true, // and a replayed one revokes its whole family
  ttl: {
    AccessToken: () => control.access_ttl,
    AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 3600,
  },
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
  },
});

for (const event of ['authorization.success', 'grant.success', 'grant.error', 'grant.revoked', 'userinfo.error']) {
  provider.on(event, (ctx, error) => {
    log.push({ event, grant: ctx?.oidc?.params?.grant_type ?? null, error: error?.error ?? null });
  });
}

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

function json(response, value) {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
}

// The provider reads the body itself; a request that may have to fail is read here and handed on parsed.
async function token(request, response) {
  const form = Object.fromEntries(new URLSearchParams(await body(request)));
  if (form.grant_type === 'refresh_token' && control.fail_refresh > 0) {
    control.fail_refresh -= 1;
    log.push({ event: 'fault', grant: 'refresh_token', error: '503' });
    response.writeHead(503, { 'content-type': 'text/plain' });
    return response.end('Try again later.');
  }
  request.body = form;
  return handle(request, response);
}

const handle = provider.callback();
server.on('request', async (request, response) => {
  const { pathname } = new URL(request.url, issuer);
  if (pathname === '/log') return json(response, log);
  if (pathname === '/control') return json(response, Object.assign(control, JSON.parse(await body(request))));
  if (pathname === '/token') return token(request, response);
  return handle(request, response);
});

process.stdin.resume().on('end', () => process.exit(0));
console.log(JSON.stringify({ issuer }));
