// wrapper.ts
//
// The two small shell programs that live on when the agent does not. Both use nothing but the shell's own words where
// they can, because a fork costs a millisecond, and run under dash, bash and busybox alike.
//
// The wrapper starts one attempt and writes down how it ended:
//
//   join the cgroups → claim the attempt (create `run`, which must not exist) → look at the fence → run the command in the
//   foreground → complete `run` → kill whatever the command left behind, itself included
//
// - `run` is created exclusively, by the wrapper or by an agent that recovers the attempt and wants it never to run:
//   whoever is first decides, so an attempt runs at most once, whatever was killed when.
// - It says there which process it is by its pid and the boot, and when it was asked for. That it still is this process is seen by its arguments, of
//   which the second names the attempt: its start time would do too, but reading it costs the shell a system call per letter.
// - A signal to the whole process group reaches the wrapper too: its traps do nothing, so that it lives to see the
//   command end, and the command itself starts with default actions.
// - From then on its standard error is `run`. The shell says there when the command was ended by a signal; exit code 137 without such
//   a word before it is an exit code like any other. Hence the subshell: the redirection must not be the shell's own. Shells
//   are silent about SIGINT and SIGPIPE, which therefore read as exit codes 130 and 141.
// - `run` is complete when its last line, after the first, is a number: nothing may be said there after it, not even that the kernel knows no
//   cgroup.kill (before Linux 5.14). One file for all, because creating files is what costs.
//
// wrapper.c does the same as a program, where there was a compiler; what is written here and there about the one holds for the other.
//
// Its variables have names that no task uses, since the shell would hand changed values on to the command.

/** sh wrapper.sh ATTEMPT_DIR KILL_FILE|"" DEADLINE_FILE|"" "BOOT_ID MS_SINCE_EPOCH" PROCS_FILE… -- COMMAND ARG… */
export const wrapperScript = wrapper('');

/** The same for commands that take input; stdin.ts tells how. Whoever sees the input end also sees that nobody reads `stdin-end` any more. */
export const inputWrapperScript = wrapper(`(trap '' HUP INT QUIT USR1 USR2 ALRM TERM; exec >/dev/null 2>&1; read -r __taskplane_end <&3; exec 3<&-) &
exec 3<&- 4>&-
`);

function wrapper(beforeCommand: string): string {
  return `trap : HUP INT QUIT USR1 USR2 PIPE ALRM TERM
__taskplane_dir=$1 __taskplane_kill=$2 __taskplane_fence=$3 __taskplane_boot=$4
shift 4
while [ "$1" != -- ]; do
  echo $$ >"$1" || exit 125
  shift
done
shift
set -C
exec 2>"$__taskplane_dir/run" || exit 125
set +C
echo "$$ $__taskplane_boot" >&2 || exit 125
if [ -n "$__taskplane_fence" ]; then
  __taskplane_deadline=0
  read -r __taskplane_deadline <"$__taskplane_fence"
  read -r __taskplane_up __taskplane_idle </proc/uptime
  [ "\${__taskplane_up%.*}\${__taskplane_up#*.}" -lt "$__taskplane_deadline" ] || exit 125
fi
${beforeCommand}(exec "$@") 2>&1
__taskplane_code=$?
echo "$__taskplane_code" >&2
[ -z "$__taskplane_kill" ] || { echo 1 >"$__taskplane_kill"; } 2>/dev/null
kill -KILL 0
`;
}

// The watchdog guards the fence (fence.ts) while the agent may be dead. Twice a second it looks at the deadline, in
// hundredths of a second of /proc/uptime; once that has passed it kills all that is listed in the directory `guarded`,
// one file per attempt (empty ones wait for the next). The wrapper goes first: one that is not in the group yet could have its command born
// into it afterwards.
//
//   line 1  cgroup.kill file, or -
//   line 2  cgroup.procs file, or -
//   line 3  directory of the attempt, whose `run` names the leader of a process group
//   line 4  key of the attempt
//
// It ends when another watchdog has put its pid into `watchdog` (or the directory is gone), or when the agent is gone and
// nothing is listed.

/** sh watchdog.sh FENCE_DIR AGENT_PID AGENT_START CGROUP_TO_LEAVE_TO|"" HELPER_PROCS_FILE… -- DIR_TO_REMOVE… */
export const watchdogScript = `trap : HUP INT TERM
dir=$1 agent=$2 born=$3 top=$4
shift 4
while [ "$1" != -- ]; do
  echo $$ >"$1"
  shift
done
shift
echo $$ >"$dir/watchdog.$$" && mv "$dir/watchdog.$$" "$dir/watchdog"
alive() {
  read -r line <"/proc/$1/stat" || return 1
  line=\${line##*) }
  set -- "$2" $line
  [ "\${21}" = "$1" ] && [ "$2" != Z ]
}
past_deadline() {
  deadline=0
  read -r deadline <"$dir/deadline"
  read -r up rest </proc/uptime
  [ "\${up%.*}\${up#*.}" -ge "$deadline" ]
}
kill_guarded() {
  for file in "$dir"/guarded/*; do
    [ -s "$file" ] || continue
    { read -r kill_file; read -r procs_file; read -r attempt; read -r key; } <"$file" || continue
    run= pid= arguments=
    read -r run <"$attempt/run" && pid=\${run%% *}
    [ -z "$pid" ] || read -r arguments <"/proc/$pid/cmdline"
    case $arguments in *"$key"*) kill -KILL "-$pid" ;; esac
    [ "$kill_file" = - ] || echo 1 >"$kill_file"
    [ "$procs_file" = - ] || while read -r pid; do kill -KILL "$pid"; done <"$procs_file"
  done
}
nothing_guarded() {
  for file in "$dir"/guarded/*; do
    [ -s "$file" ] && return 1
  done
  return 0
}
while :; do
  mine=
  read -r mine <"$dir/watchdog"
  [ "$mine" = $$ ] || exit 0
  if past_deadline; then
    kill_guarded
    alive "$agent" "$born" || break
  elif nothing_guarded; then
    alive "$agent" "$born" || break
  fi
  sleep 0.5 || sleep 1
done
[ -z "$top" ] || echo $$ >"$top"
for group in "$@"; do
  [ ! -d "$group" ] || rmdir "$group"
done
`;
