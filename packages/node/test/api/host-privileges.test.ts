import type { ClusterSpec } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { serviceBody, start } from './support/fake-node.js';

type Api = Awaited<ReturnType<typeof start>>;

async function api(t: ExecutionContext): Promise<Api> {
  const started = await start();
  t.teardown(() => started.close());
  return started;
}

/** Changes the cluster's spec; undefined removes a field, like a client that does not know it. */
async function setSpec(to: Api, change: Partial<ClusterSpec>) {
  const { Version, Spec } = (await to.call('GET', '/swarm')).json;
  return to.call('POST', `/swarm/update?version=${Version.Index}`, {
    json: { ...Spec, ...change },
  });
}

async function policyOf(of: Api): Promise<unknown> {
  // A cluster from before the policy existed has none.
  return (await of.call('GET', '/swarm')).json.Spec.HostPrivileges ?? 'none';
}

function onHost(name: string, container: object): object {
  const TaskTemplate = { ContainerSpec: { Image: 'host', Args: ['true'], ...container } };
  return serviceBody(name, { TaskTemplate });
}

test('a cluster gives no host privileges by default', async (t) => {
  const to = await api(t);
  t.is(await policyOf(to), 'none');
  t.is((await setSpec(to, { HostPrivileges: 'capabilities' })).status, 200);
  t.is(await policyOf(to), 'capabilities');
  const refused = await setSpec(to, { HostPrivileges: 'some' as 'none' });
  t.is(refused.status, 400);
  t.regex(refused.message, /HostPrivileges: must be one of none, capabilities, root, not "some"/);
});

test('a client that does not know the policy leaves it as it is', async (t) => {
  const to = await api(t);
  await setSpec(to, { HostPrivileges: 'root' });
  const without = { HostPrivileges: undefined as never, Labels: { a: 'b' } };
  t.is((await setSpec(to, without)).status, 200);
  t.is(await policyOf(to), 'root');
  t.is((await setSpec(to, { HostPrivileges: '' as 'none' })).status, 200);
  t.is(await policyOf(to), 'root');
});

test('a service that asks for more than the policy is refused with what to do', async (t) => {
  const to = await api(t);
  const root = await to.call('POST', '/services/create', { json: onHost('a', { User: 'root' }) });
  t.is(root.status, 403);
  t.is(root.headers['x-swarm-error-code'], 'PERMISSION_DENIED');
  t.is(
    root.message,
    'ContainerSpec.User asks for the user "root", and this cluster gives tasks of the image "host" no ' +
      "host privileges: remove it, or allow it for the whole cluster with 'swarm update --host-privileges root'",
  );
  const raw = onHost('a', { CapabilityAdd: ['CAP_NET_RAW'] });
  t.regex((await to.call('POST', '/services/create', { json: raw })).message, /capabilities'$/);
  await setSpec(to, { HostPrivileges: 'capabilities' });
  t.is((await to.call('POST', '/services/create', { json: raw })).status, 201);
  const more = onHost('b', { CapabilityAdd: ['CAP_SYS_ADMIN'] });
  t.is((await to.call('POST', '/services/create', { json: more })).status, 403);
  await setSpec(to, { HostPrivileges: 'root' });
  t.is((await to.call('POST', '/services/create', { json: more })).status, 201);
});

test('the policy does not apply to containers of an engine', async (t) => {
  const to = await api(t);
  const container = { Image: 'nginx:1', User: 'root', CapabilityAdd: ['CAP_SYS_ADMIN'] };
  const json = onHost('a', container);
  t.is((await to.call('POST', '/services/create', { json })).status, 201);
  // It applies to the same service as a process of the host.
  const { Version, Spec } = (await to.call('GET', '/services/a')).json;
  Spec.TaskTemplate.ContainerSpec.Image = 'host';
  const path = `/services/a/update?version=${Version.Index}`;
  t.is((await to.call('POST', path, { json: Spec })).status, 403);
});

test('under a stricter policy a service keeps what it has and gets no more', async (t) => {
  const to = await api(t);
  await setSpec(to, { HostPrivileges: 'root' });
  await to.call('POST', '/services/create', { json: onHost('a', { User: 'root' }) });
  await setSpec(to, { HostPrivileges: 'none' });
  const update = async (change: object, container: object) => {
    const { Version, Spec } = (await to.call('GET', '/services/a')).json;
    Object.assign(Spec, change);
    Object.assign(Spec.TaskTemplate.ContainerSpec, container);
    return to.call('POST', `/services/a/update?version=${Version.Index}`, { json: Spec });
  };
  t.is((await update({ Mode: { Replicated: { Replicas: 0 } } }, {})).status, 200);
  t.is((await update({}, { CapabilityAdd: ['CAP_NET_RAW'] })).status, 403);
  t.is((await update({}, { User: '' })).status, 200);
  t.is((await update({}, { User: 'root' })).status, 403);
});
