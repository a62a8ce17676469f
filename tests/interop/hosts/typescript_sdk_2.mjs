// A host on the MCP SDK for TypeScript, 2.x: node typescript_sdk_2.mjs MODE http|login|sse URL, or MODE stdio COMMAND
// ARGUMENT…  MODE is auto, legacy or a protocol revision. Speaks the protocol of tests.interop.programs.Host on its own
// stdin and stdout.
import readline from 'node:readline';
import { Client, SSEClientTransport, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Login } from './login.mjs';

const [chosen, transport, target, ...rest] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const login = new Login('typescript-sdk-2', (url) => say({ open: url }));
const mode = ['auto', 'legacy'].includes(chosen) ? chosen : { pin: chosen };
const servers = {
  http: () => new StreamableHTTPClientTransport(new URL(target)),
  login: () => new StreamableHTTPClientTransport(new URL(target), { authProvider: login }),
  sse: () => new SSEClientTransport(new URL(target)),
  stdio: () => new StdioClientTransport({ command: target, args: rest, env: process.env }),
};

const client = new Client(
  { name: 'typescript-sdk-2', version: '1' },
  { capabilities: { elicitation: { form: {}, url: {} } }, versionNegotiation: { mode } },
);
client.setRequestHandler('elicitation/create', async ({ params }) => {
  say({ visit: params.url });
  return { action: 'accept' };
});
if (transport === 'login') {
  const first = servers.login();
  await client.connect(first).catch((error) => { if (!(error instanceof UnauthorizedError)) throw error; });
  const { back } = JSON.parse((await lines.next()).value);
  await first.finishAuth(new URL(back).searchParams);
}
await client.connect(servers[transport]());
const { tools } = await client.listTools();
say({ tools: tools.map((tool) => tool.name), protocol: client.getNegotiatedProtocolVersion() });

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
