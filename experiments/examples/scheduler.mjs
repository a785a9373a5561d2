// A scheduler of one's own in JavaScript: node scheduler.mjs FAMILY COUNT
//
// It keeps COUNT tasks of a family running: it reads the state once by list and describe calls, then
// follows the events of AWS_ENDPOINT_URL, and starts what is missing by StartTask where most memory
// is left. It needs `npm install @aws-sdk/client-ecs`, and ends by Ctrl-C.

import {
  ECSClient, StartTaskCommand, DescribeContainerInstancesCommand, DescribeTaskDefinitionCommand,
  DescribeTasksCommand, paginateListContainerInstances, paginateListTasks,
} from "@aws-sdk/client-ecs";

const [family, wanted] = [process.argv[2], Number(process.argv[3])];
const endpoint = process.env.AWS_ENDPOINT_URL;
const startedBy = `node-${family}`;
const client = new ECSClient({ endpoint });
const instances = new Map(); // by ARN, each with the version that was seen last
const tasks = new Map();

const keep = (table, arn, thing) => {
  const before = table.get(arn);
  if (!before || before.version < thing.version) table.set(arn, thing); // else it came late
};

async function read() {
  for await (const page of paginateListContainerInstances({ client }, { status: "ACTIVE" })) {
    const containerInstances = page.containerInstanceArns;
    if (!containerInstances.length) continue;
    const found = await client.send(new DescribeContainerInstancesCommand({ containerInstances }));
    for (const each of found.containerInstances) keep(instances, each.containerInstanceArn, each);
  }
  for await (const page of paginateListTasks({ client }, { startedBy })) {
    if (!page.taskArns.length) continue;
    const found = await client.send(new DescribeTasksCommand({ tasks: page.taskArns }));
    for (const each of found.tasks) keep(tasks, each.taskArn, each);
  }
}

const free = (instance, name) =>
  instance.remainingResources.find((each) => each.name === name)?.integerValue ?? 0;

async function reconcile(needs) {
  const tried = new Set();
  for (;;) {
    const living = [...tasks.values()].filter((each) => each.desiredStatus === "RUNNING");
    const [best] = [...instances.values()]
      .filter((each) => each.status === "ACTIVE" && each.agentConnected)
      .filter((each) => !tried.has(each.containerInstanceArn))
      .filter((each) => free(each, "CPU") >= needs.cpu && free(each, "MEMORY") >= needs.memory)
      .sort((a, b) => free(b, "MEMORY") - free(a, "MEMORY"));
    if (living.length >= wanted || !best) return;
    const asked = { taskDefinition: family, startedBy, containerInstances: [best.containerInstanceArn] };
    const answer = await client.send(new StartTaskCommand(asked));
    for (const each of answer.tasks) keep(tasks, each.taskArn, each);
    const seen = new DescribeContainerInstancesCommand({ containerInstances: asked.containerInstances });
    const [now] = (await client.send(seen)).containerInstances; // what is left there by now
    keep(instances, now.containerInstanceArn, now);
    if (answer.failures.length) tried.add(best.containerInstanceArn); // others were quicker
  }
}

async function* events() {
  const answer = await fetch(`${endpoint}/_stowplan/events`);
  let text = "";
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    for (let at; (at = text.indexOf("\n\n")) >= 0; text = text.slice(at + 2)) {
      const line = text.slice(0, at).split("\n").find((each) => each.startsWith("data: "));
      yield line ? JSON.parse(line.slice(6)) : {};
    }
  }
}

const found = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: family }));
const total = (name) =>
  found.taskDefinition.containerDefinitions.reduce((sum, each) => sum + (each[name] ?? 0), 0);
const needs = { cpu: total("cpu"), memory: total("memory") };
let read_once = false;
for await (const { detail } of events()) { // the first says that it listens: nothing is missed
  if (!read_once) await read();
  read_once = true;
  if (detail?.remainingResources) keep(instances, detail.containerInstanceArn, detail);
  else if (detail?.startedBy === startedBy) keep(tasks, detail.taskArn, detail);
  await reconcile(needs);
}
