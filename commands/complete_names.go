package commands

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/completion"
	"ndock/openstack"
	"ndock/openstack/clouds"
)

// Times of completion. A shell waits for all of it: with the start of ndock it stays below 0.3 s.
const (
	namesWait    = 150 * time.Millisecond
	namesTimeout = 20 * time.Second // of what asks the cloud meanwhile
)

// namedBy is the kind of thing that a value in help stands for, or a flag.
var namedBy = map[string]string{"SERVER": "servers", "IMAGE": "images", "image": "images", "flavor": "flavors", "network": "networks"}

// namesCommand is what completion starts: it writes down the names that a cloud has, for this key press or the next.
func namesCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "names",
		Usage:     "Write the names of things of a cloud to a file, for completion",
		ArgsUsage: "KIND FILE",
		Hidden:    true,
		Action:    func(c *cli.Context) error { return writeNames(c, s) },
	}
}

func writeNames(c *cli.Context, s Streams) error {
	args, err := exactly(c, "KIND", "FILE")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, namesTimeout)
	defer cancel()
	return completion.Write(args[1], func() ([]string, error) {
		selection := selected(c, s)
		selection.Unattended = true
		cloud, err := openstack.Open(ctx, selection)
		if err != nil {
			return nil, err
		}
		return listNames(ctx, cloud, args[0])
	})
}

func listNames(ctx context.Context, cloud *openstack.Cloud, kind string) ([]string, error) {
	switch kind {
	case "servers":
		all, err := cloud.Servers(ctx)
		return namesIn(all, func(s openstack.Server) string { return s.Name }), err
	case "images":
		all, err := cloud.Images(ctx)
		return namesIn(all, func(i openstack.Image) string { return i.Name }), err
	case "flavors":
		all, err := cloud.Flavors(ctx)
		return namesIn(all, func(f openstack.Flavor) string { return f.Name }), err
	}
	all, err := cloud.Networks(ctx)
	return namesIn(all, func(n openstack.Network) string { return n.Name }), err
}

func namesIn[T any](all []T, name func(T) string) []string {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = name(one)
	}
	return names
}

var secretSetting = regexp.MustCompile(`(?i)password|secret|token|passcode`)

// offerNames returns the names of a kind in the cloud that the flags and the environment name. With a secret among the flags
// there are none: it would show in the list of processes longer than its command. Nor are there where the working directory
// says what the cloud is: a key press must not send anything to where a stranger's file says.
func offerNames(kind string, flags []string) []string {
	dir, err := os.UserCacheDir()
	if err != nil || slices.ContainsFunc(flags, secretSetting.MatchString) || clouds.Local(os.Getenv) {
		return nil
	}
	names := completion.Names{Dir: filepath.Join(dir, "ndock"), Wait: namesWait, Refresh: func(kind, file string) (<-chan struct{}, error) {
		return startNames(append(slices.Clone(flags), "names", kind, file))
	}}
	return names.Of(kind, append(cloudVariables(), flags...))
}

// cloudVariables are what says which cloud is meant, without secrets.
func cloudVariables() []string {
	var all []string
	for _, variable := range os.Environ() {
		if name, text, _ := strings.Cut(variable, "="); text != "" && strings.HasPrefix(name, "OS_") && !secretSetting.MatchString(name) {
			all = append(all, variable)
		}
	}
	slices.Sort(all)
	return all
}

// startNames runs ndock on its own: neither the shell that waits for names nor Ctrl-C there ends it. Nothing in the working
// directory counts for it.
func startNames(args []string) (<-chan struct{}, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, args...)
	command.Args[0], command.Dir = "ndock", "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = command.Wait() // what it could not write is not offered
	}()
	return done, nil
}
