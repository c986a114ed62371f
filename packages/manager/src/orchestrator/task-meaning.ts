import {
  capabilityName,
  type ContainerSpec,
  canonicalImage,
  type EndpointSpec,
  type HealthConfig,
  type Mount,
  type NetworkAttachmentConfig,
  type Placement,
  type TaskSpec,
} from '@swarm/api';

/**
 * What a task is run from, in one of the many ways to write it: two specs whose meanings are the same (see
 * `meansSame`) give the same task. Leaves out what does not need another task: how and when it is stopped, and
 * whether a new one takes its place.
 */
export function taskMeaning(spec: TaskSpec): object {
  const { ContainerSpec: container, RestartPolicy: _policy, Resources: resources, ...rest } = spec;
  return {
    ...rest,
    Runtime: rest.Runtime === 'container' ? '' : rest.Runtime,
    LogDriver: rest.LogDriver && {
      ...rest.LogDriver,
      Options: mapMeaning(rest.LogDriver.Options),
    },
    ContainerSpec: container && containerMeaning(container),
    Resources: {
      Limits: withoutZeros(resources?.Limits),
      Reservations: withoutZeros(resources?.Reservations),
    },
    Placement: rest.Placement && placementMeaning(rest.Placement),
    Networks: sorted(rest.Networks?.map(networkMeaning)),
  };
}

function containerMeaning(spec: ContainerSpec): object {
  const { StopSignal: _signal, StopGracePeriod: _grace, ...rest } = spec;
  return {
    ...rest,
    Image: canonicalImage(rest.Image),
    Labels: mapMeaning(rest.Labels),
    Sysctls: mapMeaning(rest.Sysctls),
    Env: environment(rest.Env),
    Groups: sorted(rest.Groups),
    Mounts: sorted(rest.Mounts?.map(mountMeaning)),
    Healthcheck: rest.Healthcheck && healthMeaning(rest.Healthcheck),
    DNSConfig: { ...rest.DNSConfig, Options: sorted(rest.DNSConfig?.Options) },
    Secrets: sorted(rest.Secrets),
    Configs: sorted(rest.Configs),
    Isolation: rest.Isolation === 'default' ? '' : rest.Isolation,
    CapabilityAdd: sorted(rest.CapabilityAdd?.map(capabilityName)),
    CapabilityDrop: sorted(rest.CapabilityDrop?.map(capabilityName)),
    Ulimits: sorted(rest.Ulimits),
    OomScoreAdj: rest.OomScoreAdj === 0 ? undefined : rest.OomScoreAdj,
  };
}

/** Of two entries with one name, the second holds. */
function environment(entries: readonly string[] | undefined): string[] {
  const byName = new Map<string, string>();
  for (const entry of entries ?? []) byName.set(entry.split('=', 1)[0]!, entry);
  return [...byName.values()].sort();
}

function mountMeaning(mount: Mount): object {
  const { BindOptions: bind, VolumeOptions: volume, TmpfsOptions: tmpfs, ...rest } = mount;
  const driver = volume?.DriverConfig;
  return {
    ...rest,
    Target: mount.Target.replace(/(?<=.)\/+$/, ''),
    Consistency: mount.Consistency === 'default' ? '' : mount.Consistency,
    BindOptions: bind && {
      ...bind,
      Propagation: bind.Propagation === 'rprivate' ? '' : bind.Propagation,
    },
    VolumeOptions: volume && {
      ...volume,
      Labels: mapMeaning(volume.Labels),
      DriverConfig: driver && {
        Name: driver.Name === 'local' ? '' : driver.Name,
        Options: mapMeaning(driver.Options),
      },
    },
    TmpfsOptions: withoutZeros(tmpfs),
  };
}

/** A time of 0 leaves it to the image. */
function healthMeaning({ Test, ...numbers }: HealthConfig): object {
  return { Test, ...withoutZeros(numbers) };
}

function placementMeaning({ Constraints, Platforms, MaxReplicas, ...rest }: Placement): object {
  return {
    ...rest,
    ...withoutZeros({ MaxReplicas }),
    Constraints: constraintsMeaning(Constraints),
    Platforms: sorted(Platforms),
  };
}

/** Constraints as a set, without the blanks around operators. */
export function constraintsMeaning(constraints: readonly string[] | undefined): string[] {
  const all = (constraints ?? []).map((one) => one.trim().replace(/\s*(==|!=)\s*/, '$1'));
  return [...new Set(all)].sort();
}

/** What a service publishes. */
export function endpointMeaning({ Mode, Ports }: EndpointSpec = {}): object {
  return { Mode: Mode === 'vip' ? '' : Mode, Ports: sorted(Ports) };
}

function networkMeaning({ Aliases, DriverOpts, ...rest }: NetworkAttachmentConfig): object {
  return { ...rest, Aliases: sorted(Aliases), DriverOpts: mapMeaning(DriverOpts) };
}

/** The entries of a map whose keys users choose: there, an empty value differs from no entry. */
export function mapMeaning(map: Readonly<Record<string, string>> | undefined): string[] {
  return Object.entries(map ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort();
}

function withoutZeros(fields: object | undefined): object {
  return Object.fromEntries(Object.entries(fields ?? {}).filter(([, value]) => value !== 0));
}

/** The items of a set, each once, in the order of their text. */
function sorted<T>(items: readonly T[] | undefined): T[] {
  const byText = new Map((items ?? []).map((item) => [text(item), item]));
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item);
}

/** JSON with sorted keys and without what counts as absent. */
function text(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    const fields = Object.entries(inner).filter(([, field]) => field !== '' && field !== false);
    return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
