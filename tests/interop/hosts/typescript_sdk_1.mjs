// A host on the MCP SDK for TypeScript, 1.x: node typescript_sdk_1.mjs http|login|sse URL, or stdio COMMAND ARGUMENT…
// Speaks the protocol of tests.interop.programs.Host on its own stdin and stdout.
import readline from 'node:readline';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { Login } from './login.mjs';

const [transport, target, ...rest] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const login = new Login('typescript-sdk-1', (url) => say({ open: url }));
const servers = {
  http: () => new StreamableHTTPClientTransport(new URL(target)),
  login: () => new StreamableHTTPClientTransport(new URL(target), { authProvider: login }),
  sse: () => new SSEClientTransport(new URL(target)),
  stdio: () => new StdioClientTransport({ command: target, args: rest, env: process.env }),
};

const client = new Client({ name: 'typescript-sdk-1', version: '1' }, { capabilities: { elicitation: { form: {}, url: {} } } });
client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
  say({ visit: params.url });
  return { action: 'accept' };
});

if (transport === 'login') {
  const first = servers.login();
  await client.connect(first).catch((error) => { if (!(error instanceof UnauthorizedError)) throw error; });
  const { back } = JSON.parse((await lines.next()).value);
  await first.finishAuth(new URL(back).searchParams.get('code'));
}
await client.connect(servers[transport]());
const { tools } = await client.listTools();
say({ tools: tools.map((tool) => tool.name) });

for await (const line of lines) {
  try {
    const result = await client.callTool(JSON.parse(line));
    say({ text: result.content[0].text, is_error: result.isError ?? false });
  } catch (error) {
    say({ code: error.code, links: (error.data?.elicitations ?? []).map((elicitation) => elicitation.url) });
  }
}
await client.close();
process.exit(0);
