package instance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"ndock/docker/agent"
)

// classify tells what Docker refuses because of the image or the command from what this host cannot do. Both say so in
// texts that have names of the tenant's in them, whatever he calls his files: what decides is how a text begins, and the
// kernel's words at its end.
func classify(err error) error {
	text := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	if cause, found := runtimesCause(text); found {
		return startFault(cause)
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

// beforeCause is what Docker, containerd and runc say before the cause of a process that does not start. Up to runc 1.0
// that has places of its source in it.
var beforeCause = regexp.MustCompile(`^(failed to create task for container: |failed to create shim( task)?: |OCI runtime [a-z]+ failed: |runc [a-z]+ failed: |[a-z_]+\.go:[0-9]+: )*` +
	`(unable to start container process: |starting container process caused: )(error during container init: |container init caused: |[a-z_]+\.go:[0-9]+: )*`)

// runtimesCause is what runc says of a process that does not start. Nova keeps 255 characters of a fault: what stands before
// it is not worth them.
func runtimesCause(text string) (cause string, found bool) {
	before := beforeCause.FindString(text)
	return strings.TrimSuffix(text[len(before):], ": unknown"), before != ""
}

// hostsTexts are how Docker begins to say what is invalid on this host alone, though it calls it so everywhere.
var hostsTexts = []string{
	"unknown or invalid runtime name", "Unknown runtime specified", "NanoCPUs can not be set", "Range of CPUs", "Requested CPUs",
	"Requested memory nodes", "Your kernel does not support", `invalid mount config for type "bind": bind source path does not exist`,
	"AppArmor enabled on system but", "--storage-opt is supported only for overlay over xfs",
}

// imagesTexts are how Docker begins to say what is wrong with an image, though it calls it a fault of its own.
var imagesTexts = []string{
	"unable to find user", "unable to find group", "uids and gids must be in range", "Cannot mkdir: ",
	"cannot mount volume over existing file", "cannot overwrite ", "EvalSymlinksInScope: too many links in ",
}

// imagesPath is of a path that an image has no place for.
var imagesPath = regexp.MustCompile(`(?s)^(mkdir|stat|lstat|open) .*: (not a directory|file name too long|too many levels of symbolic links)$`)

// hostsCauses are how runc begins to say a cause that lies in the host.
var hostsCauses = []string{
	"error running ", "running hook", "Running hook", "running exec setns process", "error executing setns process", "executing setns process",
	"can't get final child's PID", "getting the final child's pid", "nsexec",
	"unable to apply cgroup", "applying cgroup", "error setting cgroup", "setting cgroup", "error adding pid", "cgroup",
	"unable to join session keyring", "join session keyring", "unable to create session key", "create session key",
	"unable to apply apparmor", "apply apparmor", "apparmor", "can't set process label", "selinux",
	"unable to init seccomp", "init seccomp", "error loading seccomp", "loading seccomp", "seccomp",
	"open /proc/", "write /proc/", "open sysctl ", "write sysctl ",
}

// hostsMount is of what Docker has mounted in each container: the tenant chooses neither what it is nor where it goes, and
// that the kernel refuses to mount it is for the host.
var hostsMount = regexp.MustCompile(`^(error )?mounting "(cgroup|proc|sysfs|tmpfs|devpts|mqueue)" to rootfs at "[^"]*"(:| caused:) mount `)

// hostsErrors are the kernel's words for what a host has no more of.
var hostsErrors = []string{
	": no space left on device", ": disk quota exceeded", ": too many open files", ": cannot allocate memory", ": resource temporarily unavailable",
}

// startFault tells whose fault a cause is: runc says the same before what is wrong with an image, a flavor and a host.
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
