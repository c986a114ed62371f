/** The JSON of the Engine API as far as the runtime reads it (Docker Engine API 1.41). */

export interface EngineInfo {
  readonly Name: string;
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly OSType: string;
  /** As in `uname -m`. */
  readonly Architecture: string;
  readonly ServerVersion: string;
  readonly Plugins?: Readonly<Record<string, readonly string[] | null>>;
  /** `name=userns`, `name=seccomp,profile=builtin`. */
  readonly SecurityOptions?: readonly string[] | null;
}

export interface HealthLog {
  readonly ExitCode: number;
  readonly Output: string;
}

export interface ContainerState {
  readonly Status: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';
  readonly OOMKilled: boolean;
  readonly Pid: number;
  readonly ExitCode: number;
  readonly Error: string;
  readonly Health?: {
    readonly Status: 'none' | 'starting' | 'healthy' | 'unhealthy';
    readonly FailingStreak: number;
    readonly Log: readonly HealthLog[] | null;
  };
}

export interface ContainerDetails {
  readonly Id: string;
  readonly Name: string;
  readonly State: ContainerState;
  readonly HostsPath: string;
  readonly ResolvConfPath: string;
  readonly Config: {
    readonly Hostname: string;
    readonly Tty: boolean;
    readonly StopSignal?: string;
    readonly Labels: Readonly<Record<string, string>> | null;
    readonly Healthcheck?: {
      readonly Test?: readonly string[] | null;
      readonly Retries?: number;
    } | null;
  };
  readonly HostConfig: { readonly NetworkMode: string; readonly Memory: number };
}

export interface ContainerSummary {
  readonly Id: string;
  readonly Names: readonly string[] | null;
  readonly State: ContainerState['Status'];
  readonly Labels: Readonly<Record<string, string>> | null;
}

export interface ContainerEvent {
  readonly Action: string;
  readonly Actor?: { readonly ID: string };
  readonly timeNano?: number;
}

/** One line of the engine's output during a pull or an import. */
export interface ProgressLine {
  readonly id?: string;
  readonly status?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly error?: string;
  readonly errorDetail?: { readonly message?: string };
}
