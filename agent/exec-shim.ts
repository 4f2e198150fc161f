// exec-shim.ts
//
// The small shell program that becomes a command beside an attempt, as wrapper.ts does for the attempt itself: it joins the
// control groups, writes down who it is (so that an agent that follows finds and ends it), looks at the fence, takes the
// terminal if there is one, and then *is* the command, so that its exit is the command's.
//
// A shell, because only a process itself can join a group before anything else happens in it, and because the first thing
// that the leader of a new session opens as a terminal becomes its controlling terminal.

/** sh exec.sh EXEC_DIR DEADLINE_FILE|"" TERMINAL|"" PROCS_FILE… -- COMMAND ARG… */
export const execShimScript = `__taskplane_dir=$1 __taskplane_fence=$2 __taskplane_tty=$3
shift 3
while [ "$1" != -- ]; do
  { echo $$ >"$1"; } 2>/dev/null || exit 125
  shift
done
shift
if [ -n "$__taskplane_fence" ]; then
  __taskplane_deadline=0
  read -r __taskplane_deadline <"$__taskplane_fence"
  read -r __taskplane_up __taskplane_boot </proc/uptime
  [ "\${__taskplane_up%.*}\${__taskplane_up#*.}" -lt "$__taskplane_deadline" ] || exit 125
fi
[ -z "$__taskplane_tty" ] || exec <>"$__taskplane_tty" >&0 2>&0 || exit 125
read -r __taskplane_stat <"/proc/$$/stat"
read -r __taskplane_boot </proc/sys/kernel/random/boot_id
{ echo "$__taskplane_stat $__taskplane_boot" >"$__taskplane_dir/run"; } 2>/dev/null || exit 125
unset __taskplane_dir __taskplane_fence __taskplane_tty __taskplane_stat __taskplane_boot __taskplane_deadline __taskplane_up
exec "$@"
`;
