// A client with the types that openapi-typescript makes of the description: what the API does not take must not compile.
//
// usage: node client.js URL MODEL     deploys the model, waits until the task is final, and prints its document
import createClient from 'openapi-fetch';

import type { components, paths } from './api.js';

const [url, model] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url });
const final: components['schemas']['Status'][] = ['completed', 'failed', 'refused', 'canceled'];

function ended(task: components['schemas']['Task']): boolean {
  return final.includes(task.status);
}

async function deploy(): Promise<components['schemas']['Task']> {
  const { data, error } = await client.POST('/deploy', {
    body: { model_id: model, config: { rollout: { steps: [{ weight: 100, hold_s: 0 }], promote: 'auto' }, own: 1 } },
    params: { header: { Prefer: 'respond-async' } },
  });
  if (!data) {
    throw new Error(error?.detail);
  }
  let task = data;
  while (!ended(task)) {
    const read = await client.GET('/deploy/{task_id}', { params: { path: { task_id: task.task_id }, query: { wait: 5 } } });
    if (!read.data) {
      throw new Error(read.error?.detail);
    }
    task = read.data;
  }
  return task;
}

async function refused(task: string): Promise<string | undefined> {
  const { error } = await client.POST('/deploy/{task_id}/{verb}', { params: { path: { task_id: task, verb: 'pause' } } });
  return error?.detail;
}

export function mistakes(): void {
  // @ts-expect-error: no such route
  void client.GET('/deployments');
  // @ts-expect-error: without a model
  void client.POST('/deploy', { body: { task_id: '123' } });
  // @ts-expect-error: the source is a member of the config
  const body: components['schemas']['DeploymentRequest'] = { model_id: '123', source: 'file:///srv/models/123' };
  void client.POST('/deploy', { body });
  // @ts-expect-error: no such verb
  void client.POST('/deploy/{task_id}/{verb}', { params: { path: { task_id: '1', verb: 'stop' } } });
  // @ts-expect-error: a deletion has no traffic that could be held
  void client.POST('/delete/{task_id}/{verb}', { params: { path: { task_id: '1', verb: 'pause' } } });
  // @ts-expect-error: not a number
  void client.GET('/models', { params: { query: { limit: 'all' } } });
}

const task = await deploy();
const { data } = await client.GET('/models', { params: { query: { limit: 1 } } });
console.log(JSON.stringify({ task, refused: await refused(task.task_id), revision: data?.models[0].blue?.revision }));
