// A host on the MCP SDK for TypeScript, 1.x: node typescript_sdk_1.mjs http|sse URL, or stdio COMMAND ARGUMENT…
// Speaks the protocol of tests.interop.programs.Host on its own stdin and stdout.
import readline from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const [transport, target, ...rest] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));
const servers = {
  http: () => new StreamableHTTPClientTransport(new URL(target)),
  sse: () => new SSEClientTransport(new URL(target)),
  stdio: () => new StdioClientTransport({ command: target, args: rest, env: process.env }),
};

const client = new Client({ name: 'typescript-sdk-1', version: '1' }, { capabilities: { elicitation: { form: {}, url: {} } } });
client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
  say({ visit: params.url });
  return { action: 'accept' };
});

await client.connect(servers[transport]());
const { tools } = await client.listTools();
say({ tools: tools.map((tool) => tool.name) });

for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    const result = await client.callTool(JSON.parse(line));
    say({ text: result.content[0].text, is_error: result.isError ?? false });
  } catch (error) {
    say({ code: error.code, links: (error.data?.elicitations ?? []).map((elicitation) => elicitation.url) });
  }
}
await client.close();
process.exit(0);
