// Package ociruntime stands in for runc as the OCI runtime of Nova's servers. It adds two hooks of runc's, for moments of a
// container's life that Docker has no event for: when its network namespace is there and its process is not yet, and when
// the process has ended and the namespace is still there.
package ociruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ndock/docker/network"
)

// Name is the runtime's name in Docker's configuration, and in that of a server's container.
const Name = "ndock"

// RunC is the name of the program that does the work, unless a flavor or the operator has chosen another.
const RunC = "runc"

// hookTimeout is how long runc waits for a hook, in seconds: less than the agent waits for a start.
const hookTimeout = 45

// Run becomes the program that runs the container of these arguments: runc, or what its server's flavor has chosen. Before
// that, a server's container that is created gets the hooks, which run program, and the limits that Docker has no option for;
// one that ends loses the limits that would delay its end, and is marked if it ran out of memory.
func Run(program string, args []string) error {
	choice, err := choiceFor(Choices, args)
	if err != nil {
		return err
	}
	if bundle := bundleToCreate(args); bundle != "" {
		if err := prepareStart(bundle, program, lastID(args)); err != nil {
			return err
		}
	}
	if dir := endingContainer(args); dir != "" {
		choice.prepareEnd(dir, verbOf(args))
	}
	if limitOf(args) == 0 || choice.Path == "" {
		return choice.become(args)
	}
	return choice.carryOut(args)
}

// prepareStart prepares a container that is created, if it is a server's, and refuses one of which it is not known what runs it.
func prepareStart(bundle, program, id string) error {
	names := filepath.Join(Names, id)
	isServer, err := prepare(filepath.Join(bundle, "config.json"), program, names)
	if err != nil || !isServer {
		return err
	}
	if !isRecorded(Choices, id) {
		return errors.Join(fmt.Errorf("%s does not say which runtime this server's container has: start the server through Nova", Choices), ReleaseNames(names))
	}
	if err := ForgetOutOfMemory(OutOfMemory, id); err != nil { // of the last run
		return errors.Join(err, ReleaseNames(names))
	}
	return nil
}

// prepareEnd does what has to be done before a container is killed or deleted. Nothing of it is worth that the container does not
// end.
func (c Choice) prepareEnd(dir, verb string) {
	_ = unthrottle(dir)
	if verb == "delete" && c.Server != "" {
		_ = markOutOfMemory(OutOfMemory, kernelLogFile, dir)
	}
}

// carryOut has the program do a verb within its time limit, and ends this process with the exit status of that.
func (c Choice) carryOut(args []string) error {
	status, err := c.attempt(args, limitOf(args))
	if err == nil {
		os.Exit(status)
	}
	return err
}

// lastID returns the id of the container that is created or started, which is the last argument.
func lastID(args []string) string { return filepath.Base(args[len(args)-1]) }

// become replaces this process.
func (c Choice) become(args []string) error {
	path, err := c.find()
	if err != nil {
		return fmt.Errorf("find %s, which runs containers: %w", c.Name, err)
	}
	if err := syscall.Exec(path, slices.Concat([]string{filepath.Base(path)}, c.Args, args), os.Environ()); err != nil {
		return fmt.Errorf("become %s: %w", path, err)
	}
	return nil
}

func (c Choice) find() (string, error) {
	if c.Path == "" {
		return exec.LookPath(RunC)
	}
	return c.Path, CheckProgram(c.Path)
}

// bundleToCreate returns the directory of the container that runc is told to create; empty for another command.
func bundleToCreate(args []string) string {
	if !slices.Contains(args, "create") {
		return ""
	}
	for i, arg := range args[:len(args)-1] {
		switch name, value, inOne := strings.Cut(arg, "="); {
		case arg == "--bundle" || arg == "-b":
			return args[i+1]
		case inOne && name == "--bundle":
			return value
		}
	}
	return "."
}

// A hook is a hook of the OCI runtime specification, config.md, "POSIX-platform Hooks".
type hook struct {
	Path    string   `json:"path"`
	Args    []string `json:"args"`
	Timeout int      `json:"timeout"`
}

// prepare edits the configuration that the engine wrote for a container, and copies the files that it then names into the
// directory names. It tells whether the container is a server's.
func prepare(file, program, names string) (isServer bool, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	container, err := edit(text, program, names)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", file, err)
	}
	if err := createNames(names, container); err != nil {
		return false, fmt.Errorf("make the server's own copies of /etc/hosts and its like: %w", err)
	}
	return container.names != nil, os.WriteFile(file, container.config, 0o600)
}

// edited is a container's configuration, and what has to exist before runc reads it.
type edited struct {
	config   []byte
	names    map[string]string // files to copy, by the name of the copy; none for a container that is no server's
	uid, gid int               // root's in the container
	label    string            // SELinux's, of the container's files
}

func edit(text []byte, program, names string) (edited, error) {
	same := edited{config: text}
	var config map[string]json.RawMessage
	if err := json.Unmarshal(text, &config); err != nil {
		return same, err
	}
	dir, err := serverDir(config["mounts"])
	if err != nil || dir == "" {
		return same, err
	}
	if config["hooks"], err = addHooks(config["hooks"], program, dir); err != nil {
		return same, err
	}
	var changed edited
	if config["mounts"], changed.names, err = editMounts(config["mounts"], names); err != nil {
		return same, err
	}
	if err := changed.editLinux(config); err != nil {
		return same, err
	}
	if err := inject(config, dir, filepath.Base(names)); err != nil {
		return same, err
	}
	changed.config, err = json.Marshal(config)
	return changed, err
}

func addHooks(there json.RawMessage, program, dir string) (json.RawMessage, error) {
	hooks := map[string][]json.RawMessage{}
	if there != nil {
		if err := json.Unmarshal(there, &hooks); err != nil {
			return nil, err
		}
	}
	for moment, verb := range map[string]string{"createRuntime": "join", "poststop": "leave"} {
		added, err := json.Marshal(hook{Path: program, Args: []string{"ndock", "node", "hook", verb, dir}, Timeout: hookTimeout})
		if err != nil {
			return nil, err
		}
		hooks[moment] = append(hooks[moment], added)
	}
	return json.Marshal(hooks)
}

// serverDir returns the directory of the server whose container this is, by its mounts: the agent decides on these, and no
// tenant. It is empty for a container that is no server's.
func serverDir(mounts json.RawMessage) (string, error) {
	var all []struct{ Source, Destination string }
	if mounts == nil {
		return "", nil
	}
	if err := json.Unmarshal(mounts, &all); err != nil {
		return "", err
	}
	for _, mount := range all {
		dir := filepath.Dir(mount.Source)
		if mount.Destination == network.ResolvConf && network.NameFiles(dir)[mount.Source] == network.ResolvConf && network.Recorded(dir) {
			return dir, nil
		}
	}
	return "", nil
}

// State is what runc writes to a hook's standard input, as far as it is used.
type State struct {
	ID  string `json:"id"`  // of the container
	PID int    `json:"pid"` // of its process, which does not run yet; 0 when it has ended
}

var errNotRunc = errors.New("runc names no container: this is a hook of runc's, and not for people")

// Join moves a server's ports into its container, before its process is there. Addresses that this kernel cannot have are
// left out; a port that would have no address at all keeps the container from starting.
func Join(dir string, state State, kernel network.Kernel) error {
	if state.ID == "" || state.PID <= 0 {
		return errNotRunc
	}
	ports, err := network.Ports(dir)
	if err != nil {
		return err
	}
	fitting, losses := kernel.Fit(ports)
	for _, loss := range losses {
		if loss.Whole {
			return loss
		}
	}
	return network.Join(fitting, fmt.Sprintf("/proc/%d/ns/net", state.PID), network.NetnsPath(state.ID))
}

// Leave moves the ports out of the container again.
func Leave(dir string, state State) error {
	if state.ID == "" {
		return errNotRunc
	}
	ports, err := network.Ports(dir)
	if err != nil {
		return err
	}
	return errors.Join(network.Leave(ports, network.NetnsPath(state.ID)), ReleaseNames(filepath.Join(Names, state.ID)))
}
