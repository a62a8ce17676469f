// A strict OAuth client that we did not write, oauth4webapi, judges an authorization server: node referee.mjs '{…}'
//
// The argument: {"issuer", "redirect", "scope", "method": "client_secret_basic" | "client_secret_post" | "none" |
// "private_key_jwt", "client": {"client_id", "client_secret"} where it is not to register}. On stdout it prints lines of JSON. With
// {"open": url, "decision": "allow" | "deny"} somebody has to answer, with a line on stdin: where the browser ends up.
// {"requirement", "met", "detail"} is a judgement. Every refusal has to be the one that the RFC names.
// Sources: RFC 6749, 7009, 7591, 7636, 8414, 8707, 9068, 9207, 9700.
import { createInterface } from 'node:readline/promises';
import * as oauth from 'oauth4webapi';

const { issuer, redirect, scope, method, client: known } = JSON.parse(process.argv[2]);
const loopback = { [oauth.allowInsecureRequests]: true };
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const print = (line) => console.log(JSON.stringify(line));
const judge = (requirement, met, detail = '') => print({ requirement, met: Boolean(met), detail: String(detail) });

async function browse(url, decision = 'allow') {
  print({ open: url.href, decision });
  return new URL((await answers.next()).value || 'about:blank');
}

// --- what it says of itself, and a client of it ---

const home = new URL(issuer);
const as = await oauth.processDiscoveryResponse(home, await oauth.discoveryRequest(home, { ...loopback, algorithm: 'oauth2' }));
const other = await oauth.processDiscoveryResponse(home, await oauth.discoveryRequest(home, { ...loopback, algorithm: 'oidc' }));
judge('discovery: the issuer is its own, at both addresses', JSON.stringify(as) === JSON.stringify(other));
judge('discovery: PKCE by S256 and nothing else', as.code_challenge_methods_supported?.join() === 'S256');
judge('discovery: iss comes with every answer', as.authorization_response_iss_parameter_supported === true);
judge('discovery: the signatures that prove a client are named', as.token_endpoint_auth_signing_alg_values_supported.includes('ES256'));
judge('discovery: this way to prove a client is offered', as.token_endpoint_auth_methods_supported.includes(method));

const signs = method === 'private_key_jwt';
const pair = await oauth.generateKeyPair('ES256'), wrong = await oauth.generateKeyPair('ES256');
const jwk = { ...(await crypto.subtle.exportKey('jwk', pair.publicKey)), kid: 'referee', use: 'sig' };

async function register(more = {}) {
  const metadata = {
    client_name: 'referee', redirect_uris: [redirect], token_endpoint_auth_method: method,
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    ...(signs ? { jwks: { keys: [jwk] } } : {}), ...more,
  };
  const answer = await oauth.dynamicClientRegistrationRequest(as, metadata, loopback);
  return oauth.processDynamicClientRegistrationResponse(answer);
}

const client = known ?? await register();
judge('registration: the method is the one that was asked for', known || client.token_endpoint_auth_method === method);
judge('registration: a secret comes with the methods that need one', Boolean(client.client_secret) === method.startsWith('client_secret'));
const bySecret = { client_secret_basic: oauth.ClientSecretBasic, client_secret_post: oauth.ClientSecretPost }[method];
const prove = (secret, key) => signs ? oauth.PrivateKeyJwt({ key: key.privateKey, kid: 'referee' }) : bySecret ? bySecret(secret) : oauth.None();
const proof = prove(client.client_secret, pair);

// --- the ways through it ---

async function ask(changes = {}, decision = 'allow') {
  const verifier = oauth.generateRandomCodeVerifier(), state = oauth.generateRandomState();
  const asked = {
    client_id: client.client_id, redirect_uri: redirect, response_type: 'code', scope, state, prompt: 'consent',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...changes,
  };
  const url = new URL(as.authorization_endpoint);
  for (const [name, value] of Object.entries(asked)) if (value !== null) url.searchParams.set(name, value);
  return { verifier, state, back: await browse(url, decision) };
}

async function exchange(asked, { verifier = asked.verifier, to = redirect, by = client, proved = proof, ...more } = {}) {
  const answer = oauth.validateAuthResponse(as, by, asked.back, asked.state);
  const options = { ...loopback, additionalParameters: more };
  const response = await oauth.authorizationCodeGrantRequest(as, by, proved, answer, to, verifier, options);
  judge('token endpoint: an answer is not to be stored', response.headers.get('cache-control') === 'no-store');
  return oauth.processAuthorizationCodeResponse(as, by, response);
}

async function refresh(token, { by = client, proved = proof, ...more } = {}) {
  const options = { ...loopback, additionalParameters: more };
  return oauth.processRefreshTokenResponse(as, by, await oauth.refreshTokenGrantRequest(as, by, proved, token, options));
}

const login = async (changes) => exchange(await ask(changes));
const revoke = async (token) => oauth.processRevocationResponse(await oauth.revocationRequest(as, client, proof, token, loopback));

async function refused(requirement, error, doing) {
  try {
    await doing();
    judge(requirement, false, 'it was not refused');
  } catch (told) {
    // A 401 with a challenge of its own is no ResponseBodyError to the library; its body says the same.
    const body = told.error ?? (await told.response?.clone().json().catch(() => null))?.error;
    judge(requirement, body === error, body ?? told.message);
  }
}

async function toldBack(requirement, error, changes, decision) {
  const { back, state } = await ask(changes, decision);
  const said = back.searchParams;
  judge(requirement, back.href.startsWith(redirect) && said.get('error') === error, said.get('error') ?? back.href);
  judge(`${requirement}, with state and iss`, said.get('state') === state && said.get('iss') === issuer && !said.has('code'));
}

async function nobodySent(requirement, changes) {
  const { back } = await ask(changes);
  judge(requirement, !back.searchParams.has('code') && !back.searchParams.has('error'), back.href);
}

// --- the authorization request ---

await toldBack('a person who says no', 'access_denied', {}, 'deny');
await toldBack('without PKCE', 'invalid_request', { code_challenge: null, code_challenge_method: null });
await toldBack('a challenge without its method, which is plain', 'invalid_request', { code_challenge_method: null });
await toldBack('PKCE by plain', 'invalid_request', { code_challenge_method: 'plain' });
await toldBack('a response type that is not code', 'unsupported_response_type', { response_type: 'token' });
await toldBack('nothing but unknown scopes', 'invalid_scope', { scope: 'everything' });
await toldBack('a resource of somebody else', 'invalid_target', { resource: 'https://elsewhere.example/mcp' });
await toldBack('a request object', 'request_not_supported', { request: 'e30.e30.' });
await toldBack('a person who must not be asked', 'consent_required', { prompt: 'none' });
await nobodySent('a client that nobody knows gets no answer', { client_id: 'nobody' });
await nobodySent('a redirect URI that is not registered gets no answer', { redirect_uri: `${redirect}/evil` });
await nobodySent('a redirect URI with more in it gets no answer', { redirect_uri: `${redirect}?next=https://evil.example` });

// --- codes ---

const first = await ask();
judge('iss is in the answer', first.back.searchParams.get('iss') === issuer);
const tokens = await exchange(first);
judge('the answer says how long, and for what', tokens.expires_in > 0 && tokens.scope === scope.split(' ').sort().join(' '), tokens.scope);
await refused('a code that is shown twice', 'invalid_grant', () => exchange(first));
await refused('a code that is shown twice ends what it became', 'invalid_grant', () => refresh(tokens.refresh_token));
await refused('a wrong verifier', 'invalid_grant', async () => exchange(await ask(), { verifier: oauth.generateRandomCodeVerifier() }));
await refused('no verifier', 'invalid_grant', async () => exchange(await ask(), { verifier: oauth.nopkce }));
await refused('another redirect URI', 'invalid_grant', async () => exchange(await ask(), { to: `${redirect}/x` }));
await refused('another resource', 'invalid_target', async () => exchange(await ask(), { resource: 'https://elsewhere.example' }));

const thief = await register({ token_endpoint_auth_method: 'none' });
const stolen = { by: thief, proved: oauth.None() };
await refused("another client's code", 'invalid_grant', async () => exchange(await ask(), stolen));
if (method !== 'none') {
  const liar = prove(`${client.client_secret}x`, wrong);
  await refused('a wrong secret or key', 'invalid_client', async () => exchange(await ask(), { proved: liar }));
  await refused('no secret or key', 'invalid_client', async () => exchange(await ask(), { proved: oauth.None() }));
}

// --- the access token ---

const fresh = await login({ resource: `${issuer}/mcp` });
const shown = (token) => new Request(`${issuer}/mcp`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
const claims = await oauth.validateJwtAccessToken(as, shown(fresh.access_token), `${issuer}/mcp`, loopback);
judge('RFC 9068: signed, typed, for the resource, by the issuer', claims.iss === issuer);
judge('RFC 9068: it names the client and the scopes', claims.client_id === client.client_id && claims.scope === fresh.scope);
for (const name of [`${issuer}/sse`, issuer]) {
  const { access_token } = await login({ resource: name });
  const same = await oauth.validateJwtAccessToken(as, shown(access_token), `${issuer}/mcp`, loopback);
  judge('RFC 8707: by each of its names the resource is the same', same.aud === `${issuer}/mcp`, name);
}

// --- refresh tokens ---

const second = await refresh(fresh.refresh_token);
judge('a refresh token is exchanged for another', second.refresh_token && second.refresh_token !== fresh.refresh_token);
await refused("another client's refresh token", 'invalid_grant', () => refresh(second.refresh_token, stolen));
await refused('an access token in its place', 'invalid_grant', () => refresh(second.access_token));
await refused('more scopes than were granted', 'invalid_scope', async () => refresh((await login({ scope: 'tools' })).refresh_token, { scope }));
judge('fewer scopes', (await refresh(second.refresh_token, { scope: 'tools' })).scope === 'tools');

const chain = await login();
const patient = method === 'none' || signs;
const times = patient ? [1, 2, 3] : [1]; // with a secret, one that arrives a moment later is refused
const next = await Promise.all(times.map(() => refresh(chain.refresh_token)));
judge('at once, all get the same successor', new Set(next.map((each) => each.refresh_token)).size === 1);
if (patient) {
  const again = await refresh(chain.refresh_token);
  judge('a client without a secret gets a lost answer again', again.refresh_token === next[0].refresh_token);
} else {
  await refused('a spent refresh token', 'invalid_grant', () => refresh(chain.refresh_token));
  await refused('a spent refresh token ends the whole family', 'invalid_grant', () => refresh(next[0].refresh_token));
}

// --- the end ---

for (const which of ['refresh_token', 'access_token']) {
  const ended = await login();
  judge(`before it is revoked, the token opens the resource: ${which}`, (await fetch(shown(ended.access_token))).status !== 401);
  await revoke(ended[which]);
  await refused(`no refresh after revocation by the ${which}`, 'invalid_grant', () => refresh(ended.refresh_token));
  judge(`no way in after revocation by the ${which}`, (await fetch(shown(ended.access_token))).status === 401);
}
await revoke('no such token').then(() => judge('to revoke what is unknown is no error', true), (told) => judge('to revoke what is unknown is no error', false, told.message));
await refused('a client in its own name that has none', 'unauthorized_client', async () => oauth.processClientCredentialsResponse(
  as, client, await oauth.clientCredentialsGrantRequest(as, client, proof, {}, loopback)));
await refused('a grant type that there is not', 'unsupported_grant_type', async () => oauth.processGenericTokenEndpointResponse(
  as, client, await oauth.genericTokenEndpointRequest(as, client, proof, 'password', { username: 'x', password: 'x' }, loopback)));
process.exit(0);
