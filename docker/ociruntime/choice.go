package ociruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"golang.org/x/sys/unix"

	"ndock/docker/durable"
)

// Choices is where the agent writes which program runs a server's container: a file for each, by the container's id.
const Choices = "/var/lib/ndock/runtimes"

// A Choice is the program that runs a container. Without a path it is runc, as Docker Engine finds it.
type Choice struct {
	Name    string   `json:"name"` // in the operator's file
	Path    string   `json:"path,omitempty"`
	Args    []string `json:"args,omitempty"`   // before the engine's own
	Sandbox bool     `json:"sandbox"`          // it has a kernel of its own, which takes over the interfaces when it starts
	Server  string   `json:"server,omitempty"` // directory of the server that has the container
	Engine  string   `json:"engine,omitempty"` // id of the engine that has it
}

// Record writes the choice for a container.
func (c Choice) Record(dir, id string) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(dir, id), text); err != nil { // without it a container is refused a start
		return fmt.Errorf("record the runtime of container %s: %w", id, err)
	}
	return nil
}

// choiceLimit is more than a file of the agent's has, in bytes.
const choiceLimit = 1 << 20

// ChoiceOf returns what runs a container. One for which nothing is recorded is run by runc, under the name of RunC.
func ChoiceOf(dir, id string) (Choice, error) {
	choice := Choice{Name: RunC}
	file, err := os.OpenFile(filepath.Join(dir, id), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return choice, nil
	}
	if err == nil {
		defer file.Close()
		err = json.NewDecoder(io.LimitReader(file, choiceLimit)).Decode(&choice)
	}
	if err != nil {
		return choice, fmt.Errorf("read which runtime container %s has: %w", id, err)
	}
	return choice, nil
}

// ForgetChoice removes what is recorded for a container that is gone. It is no error if nothing is.
func ForgetChoice(dir, id string) error {
	if err := os.Remove(filepath.Join(dir, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the runtime of container %s: %w", id, err)
	}
	return nil
}

var idPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// IsID tells whether a name is a container's id.
func IsID(name string) bool { return idPattern.MatchString(name) }

// ChoicesVerb is what the agent asks this program, to learn whether it reads choices: one of an earlier release hands the word on to
// runc, which does not know it.
const ChoicesVerb = "ndock-choices"

// isRecorded tells whether it is known what runs a container.
func isRecorded(dir, id string) bool {
	_, err := os.Lstat(filepath.Join(dir, id))
	return err == nil
}

// choiceFor returns what runs the container that these arguments of Docker Engine name by its id. Where they name none, as for
// --version, it is runc.
func choiceFor(dir string, args []string) (Choice, error) {
	i := slices.IndexFunc(args, idPattern.MatchString)
	if i < 0 {
		return Choice{Name: RunC}, nil
	}
	return ChoiceOf(dir, args[i])
}
