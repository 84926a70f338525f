package docker

import (
	"fmt"
	"os"
	"strings"

	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/client"

	"ndock/docker/transfer"
)

// Open returns the engine that DOCKER_HOST and its like name, or this host's. Nothing is sent yet.
func Open() (*client.Client, error) {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host := os.Getenv(client.EnvOverrideHost); strings.HasPrefix(host, "ssh://") {
		helper, err := connhelper.GetConnectionHelper(host)
		if err != nil {
			return nil, explain("use Docker Engine at "+host, err)
		}
		options = []client.Opt{client.WithHost(helper.Host), client.WithDialContext(helper.Dialer), client.WithVersionFromEnv(), client.WithAPIVersionNegotiation()}
	}
	engine, err := client.NewClientWithOpts(options...)
	if err != nil {
		return nil, explain("use Docker Engine", err)
	}
	return engine, nil
}

// Error is something that Docker Engine could not do.
type Error struct {
	Op  string
	Err error
	Tip string // what may help; empty where nothing is known
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Op, transfer.WithoutQueries(e.Err)) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is what may help.
func (e *Error) Hint() string { return e.Tip }

func explain(op string, err error) error {
	if client.IsErrConnectionFailed(err) {
		return &Error{Op: op, Err: err, Tip: "start Docker, or let DOCKER_HOST name an engine ('docker context' is not read)"}
	}
	return &Error{Op: op, Err: err}
}
