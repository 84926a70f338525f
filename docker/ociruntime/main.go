package ociruntime

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ndock/docker/network"
)

// Main does what Docker Engine or runc calls this program for: as runc's stand-in with runc's own arguments, or as a hook with
// those that Run has written into a container's configuration.
func Main(args []string, stdin io.Reader) error {
	if len(args) == 4 && args[0] == "node" && args[1] == "hook" {
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM) // they end the engine, or the host, and a port should not be moved half-way
		return Hook(args[2], args[3], stdin)
	}
	if len(args) == 1 && args[0] == ChoicesVerb {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program that hooks are to run: %w", err)
	}
	return Run(program, args)
}

// Hook plugs the container of the server with this directory in (join) or out (leave). runc says on stdin which one it is.
func Hook(verb, dir string, stdin io.Reader) error {
	var state State
	if err := json.NewDecoder(stdin).Decode(&state); err != nil {
		return fmt.Errorf("read the container's state from runc: %w", err)
	}
	switch verb {
	case "join":
		return Join(dir, state, network.KernelAt("/proc"))
	case "leave":
		return Leave(dir, state)
	}
	return fmt.Errorf("there is no hook %q, only join and leave", verb)
}
