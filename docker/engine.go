package docker

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/client"

	"ndock/docker/transfer"
)

// hostForms are what DOCKER_HOST may be.
const hostForms = "DOCKER_HOST is unix:///run/docker.sock, tcp://HOST:PORT or ssh://USER@HOST; without it, this host's engine is used"

// Open returns the engine that DOCKER_HOST and its like name, or this host's. Nothing is sent yet.
func Open() (*client.Client, error) {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	host := os.Getenv(client.EnvOverrideHost)
	if _, err := client.ParseHostURL(host); host != "" && err != nil {
		return nil, &Error{Op: "use Docker Engine", Err: fmt.Errorf("DOCKER_HOST is %q, which is no address of one", host), Tip: hostForms}
	}
	if strings.HasPrefix(host, "ssh://") {
		helper, err := connhelper.GetConnectionHelper(host)
		if err != nil {
			return nil, &Error{Op: "use Docker Engine", Err: err, Tip: hostForms}
		}
		options = []client.Opt{client.WithHost(helper.Host), client.WithDialContext(bySSH(host, helper.Dialer)), client.WithVersionFromEnv(), client.WithAPIVersionNegotiation()}
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
	var ssh *sshError
	if errors.As(err, &ssh) {
		return &Error{Op: op, Err: ssh}
	}
	if client.IsErrConnectionFailed(err) {
		return &Error{Op: op, Err: err, Tip: "start Docker, or let DOCKER_HOST name an engine ('docker context' is not read)"}
	}
	return &Error{Op: op, Err: err}
}
