/** Linux's capabilities, by their numbers from 0 on (capabilities(7)); without `CAP_`. */
export const CAPABILITY_NAMES: readonly string[] =
  `chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot
sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease
audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read
perfmon bpf checkpoint_restore`.split(/\s+/);

/** By their numbers from 0 on (asm-generic/resource.h), by the names of Docker and prlimit(1). */
export const LIMIT_NAMES: readonly string[] =
  'cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio rttime'.split(
    ' ',
  );
