package steps

import (
	"bytes"
	"context"
	_ "embed" // the policy
	"errors"
	"strings"

	"ndock/openstack/node/system"
)

//go:embed service/ndock.cil
var selinuxPolicy []byte

// selinux is the step that loads an SELinux module by which nova-compute may reach the agent, and labels what setup has
// written.
type selinux struct {
	Machine
	driver *shim
	did    system.Changes // of this run
}

const (
	selinuxModule = "ndock"
	selinuxFile   = "/var/lib/ndock/ndock.cil"
)

func (s *selinux) Title() string { return "selinux" }

func (s *selinux) Plan(ctx context.Context) ([]string, error) {
	same, err := system.Holds(s.Layout.Path(selinuxFile), selinuxPolicy, 0o644)
	if err != nil {
		return nil, err
	}
	loaded, err := s.isLoaded(ctx)
	if err != nil || same && loaded {
		return nil, err
	}
	return []string{"load SELinux module " + selinuxModule + ", by which nova-compute may reach the agent's socket (" + s.Layout.Path(selinuxFile) + ")"}, nil
}

func (s *selinux) isLoaded(ctx context.Context) (bool, error) {
	listed, err := system.Control(ctx, s.Commands, "semodule", "-l")
	for line := range strings.Lines(listed) {
		if words := strings.Fields(line); len(words) > 0 && words[0] == selinuxModule {
			return true, err
		}
	}
	return false, err
}

// unlabelled is at the end of the policy's file until all is labelled: the next setup then labels it.
const unlabelled = "; what setup wrote is not labelled yet\n"

func (s *selinux) Do(ctx context.Context) error {
	if err := s.did.Write(s.Layout.Path(selinuxFile), append(bytes.Clone(selinuxPolicy), unlabelled...), 0o644); err != nil {
		return err
	}
	if _, err := system.Control(ctx, s.Commands, "semodule", "-i", s.Layout.Path(selinuxFile)); err != nil {
		return err
	}
	dir, err := s.driver.dir(ctx)
	if err != nil {
		return err
	}
	label := []string{"restorecon", "-R", s.Layout.Path(s.Layout.AgentFile), dir, s.Layout.Path("/run/ndock")}
	if s.Layout.Exists(s.Layout.Runtime) {
		label = append(label, s.Layout.Path(s.Layout.Runtime))
	}
	if _, err = system.Control(ctx, s.Commands, label...); err != nil {
		return err
	}
	return s.did.Write(s.Layout.Path(selinuxFile), selinuxPolicy, 0o644)
}

// Rollback loads the module of an earlier release where there was one, else unloads this one.
func (s *selinux) Rollback(ctx context.Context) ([]string, error) {
	if !s.did.Any() {
		return nil, nil
	}
	failed := s.did.Rollback()
	if s.Layout.Exists(selinuxFile) {
		_, err := system.Control(ctx, s.Commands, "semodule", "-i", s.Layout.Path(selinuxFile))
		return []string{"loaded the SELinux module of before"}, errors.Join(failed, err)
	}
	texts, err := s.unload(ctx)
	return texts, errors.Join(failed, err)
}

// Teardown unloads the module and removes its file.
func (s *selinux) Teardown(ctx context.Context) ([]string, error) {
	texts, err := s.unload(ctx)
	if err != nil {
		return texts, err
	}
	return texts, s.did.Remove(s.Layout.Path(selinuxFile))
}

// unload returns no text where the module is not loaded.
func (s *selinux) unload(ctx context.Context) ([]string, error) {
	loaded, err := s.isLoaded(ctx)
	if err != nil || !loaded {
		return nil, err
	}
	if _, err := system.Control(ctx, s.Commands, "semodule", "-r", selinuxModule); err != nil {
		return nil, err
	}
	return []string{"unloaded SELinux module " + selinuxModule}, nil
}

func (s *selinux) Detail(context.Context) string {
	return "module " + selinuxModule + " is loaded"
}
