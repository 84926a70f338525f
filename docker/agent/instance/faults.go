package instance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"ndock/docker/agent"
)

// classify makes an error of Docker's a fault of the image or the flavor, where it is one, and not of this host. The texts
// contain names that the tenant chose: only how a text begins counts, and the kernel's words at its end.
func classify(err error) error {
	text := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	if cause, found := runtimesCause(text); found {
		return startFault(cause)
	}
	if cause := beforeOthersCause.ReplaceAllString(text, ""); cause != text && begins(cause, othersHostCauses) {
		return fmt.Errorf("its runtime does not start it: %s", afterOurName(cause))
	}
	if begins(text, hostsTexts) {
		return err
	}
	if errdefs.IsInvalidArgument(err) || begins(text, imagesTexts) || imagesPath.MatchString(text) {
		return agent.Faultf(agent.UnusableImage, "%s", text)
	}
	return err
}

func begins(text string, beginnings []string) bool {
	return slices.ContainsFunc(beginnings, func(begin string) bool { return strings.HasPrefix(text, begin) })
}

func ends(text string, endings []string) bool {
	return slices.ContainsFunc(endings, func(end string) bool { return strings.HasSuffix(text, end) })
}

// beforeCause matches what Docker, containerd and runc say before the cause of a failed start. Up to runc 1.0 it has names of
// source files in it.
var beforeCause = regexp.MustCompile(`^(failed to create task for container: |failed to create shim( task)?: |OCI runtime [a-z]+ failed: |runc [a-z]+ failed: |[a-z_]+\.go:[0-9]+: )*` +
	`(unable to start container process: |starting container process caused: )(error during container init: |container init caused: |[a-z_]+\.go:[0-9]+: )*`)

// runtimesCause returns the cause that runc gives for a failed start. Nova keeps 255 characters of a fault, so what precedes
// the cause is cut off.
func runtimesCause(text string) (cause string, found bool) {
	before := beforeCause.FindString(text)
	return strings.TrimSuffix(text[len(before):], ": unknown"), before != ""
}

// beforeOthersCause matches what Docker and containerd say before the cause that another runtime gives.
var beforeOthersCause = regexp.MustCompile(`^(failed to create task for container: |failed to create shim( task)?: )*OCI runtime [a-z]+ failed: `)

// othersHostCauses are the beginnings of causes that lie in the host: containerd's for a runtime that said nothing itself, crun's
// and gVisor's.
var othersHostCauses = []string{
	"unable to retrieve OCI runtime error", "error executing hook",
	"creating container: cannot", "creating container: failure executing hook", "starting container: setting up network",
}

// afterOurName returns the line in which ndock-runtime says what is wrong, or all of the text where it says nothing.
func afterOurName(text string) string {
	if _, ours, found := strings.Cut(text, ": ndock: "); found {
		text, _, _ = strings.Cut(ours, "\n")
	}
	return strings.TrimSuffix(text, ": unknown")
}

// hostsTexts are the beginnings of Docker's errors about this host that it classifies as invalid arguments.
var hostsTexts = []string{
	"unknown or invalid runtime name", "Unknown runtime specified", "NanoCPUs can not be set", "Range of CPUs", "Requested CPUs",
	"Requested memory nodes", "Your kernel does not support", `invalid mount config for type "bind": bind source path does not exist`,
	"AppArmor enabled on system but", "--storage-opt is supported only for overlay over xfs",
}

// imagesTexts are the beginnings of Docker's errors about an image that it classifies as internal ones.
var imagesTexts = []string{
	"unable to find user", "unable to find group", "uids and gids must be in range", "Cannot mkdir: ",
	"cannot mount volume over existing file", "cannot overwrite ", "EvalSymlinksInScope: too many links in ",
}

// imagesPath matches errors about a path that an image has no place for.
var imagesPath = regexp.MustCompile(`(?s)^(mkdir|stat|lstat|open) .*: (not a directory|file name too long|too many levels of symbolic links)$`)

// hostsCauses are the beginnings of runc's causes that lie in the host.
var hostsCauses = []string{
	"error running ", "running hook", "Running hook", "running exec setns process", "error executing setns process", "executing setns process",
	"can't get final child's PID", "getting the final child's pid", "nsexec",
	"unable to apply cgroup", "applying cgroup", "error setting cgroup", "setting cgroup", "error adding pid", "cgroup",
	"unable to join session keyring", "join session keyring", "unable to create session key", "create session key",
	"unable to apply apparmor", "apply apparmor", "apparmor", "can't set process label", "selinux",
	"unable to init seccomp", "init seccomp", "error loading seccomp", "loading seccomp", "seccomp",
	"open /proc/", "write /proc/", "open sysctl ", "write sysctl ",
}

// hostsMount matches failed mounts of what Docker mounts in each container. The tenant chooses none of them, so the host is
// at fault.
var hostsMount = regexp.MustCompile(`^(error )?mounting "(cgroup|proc|sysfs|tmpfs|devpts|mqueue)" to rootfs at "[^"]*"(:| caused:) mount `)

// hostsErrors are the kernel's errors for what a host has run out of.
var hostsErrors = []string{
	": no space left on device", ": disk quota exceeded", ": too many open files", ": cannot allocate memory", ": resource temporarily unavailable",
}

// startFault makes a fault of runc's cause, of the image or the flavor, or an error of the host's.
func startFault(cause string) error {
	switch {
	case strings.HasPrefix(cause, "exec"), strings.HasPrefix(cause, "chdir to cwd"):
	case strings.HasPrefix(cause, "container init was OOM-killed"):
		return agent.Faultf(agent.UnusableFlavor, "the flavor has too little memory for its process to start: %s", cause)
	case begins(cause, hostsCauses), hostsMount.MatchString(cause), ends(cause, hostsErrors):
		if _, ours, found := strings.Cut(cause, "stderr: ndock: "); found {
			line, _, _ := strings.Cut(ours, "\n")
			return fmt.Errorf("plug it in: %s", line)
		}
		return fmt.Errorf("its process does not start: %s", cause)
	}
	return agent.Faultf(agent.UnusableImage, "its process does not start: %s", cause)
}
