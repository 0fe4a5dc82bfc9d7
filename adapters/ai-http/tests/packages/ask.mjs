// Asks services with npm's `openai`, and prints what it makes of each answer, a line of JSON each.
// Arguments: the package's folder, then `whole` or `pieces`, and an address, for each service.

import { createRequire } from 'node:module';

const [folder, ...services] = process.argv.slice(2);
const { OpenAI, APIError } = createRequire(`${folder}/`)('openai');

function read(answer, where, said) {
  said.tokens = counted(answer) ?? said.tokens;
  for (const choice of answer.choices.slice(0, 1)) {
    const part = choice[where];
    said.text += part?.content ?? '';
    said.finish_reason = choice.finish_reason ?? said.finish_reason;
  }
}

function counted(answer) {
  return answer.usage && [answer.usage.prompt_tokens, answer.usage.completion_tokens];
}

async function ask(kind, url) {
  const said = { text: '', finish_reason: null, tokens: null, error: null };
  const client = new OpenAI({ baseURL: url, apiKey: 'a-key', maxRetries: 0 });
  try {
    const messages = [{ role: 'user', content: '?' }];
    const answer = await client.chat.completions.create({ model: 'a-model', messages, stream: kind === 'pieces' });
    if (kind === 'pieces') for await (const part of answer) read(part, 'delta', said);
    else read(answer, 'message', said);
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    said.error = [error.status ?? null, text(error.code), text(error.type)];
  }
  return said;
}

function text(name) {
  return name == null ? null : String(name);
}

while (services.length > 0) {
  console.log(JSON.stringify(await ask(...services.splice(0, 2))));
}
