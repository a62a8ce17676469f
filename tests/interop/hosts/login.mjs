// What a host on either TypeScript SDK keeps of a login, in memory. It hands what is to be opened to `open`.
const CALLBACK = 'http://localhost:41996/callback';

export class Login {
  constructor(name, open) {
    this.redirectUrl = CALLBACK;
    this.clientMetadata = {
      client_name: name, redirect_uris: [CALLBACK], response_types: ['code'], token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
    };
    this.redirectToAuthorization = (url) => open(url.href);
    this.kept = {};
  }

  clientInformation() { return this.kept.client; }
  saveClientInformation(client) { this.kept.client = client; }
  tokens() { return this.kept.tokens; }
  saveTokens(tokens) { this.kept.tokens = tokens; }
  codeVerifier() { return this.kept.verifier; }
  saveCodeVerifier(verifier) { this.kept.verifier = verifier; }
  discoveryState() { return this.kept.discovered; }
  saveDiscoveryState(discovered) { this.kept.discovered = discovered; }
}
