package steps

import (
	"bytes"
	"context"
	_ "embed" // the policy
	"errors"
	"path/filepath"
	"strings"
	"time"

	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

//go:embed service/ndock.cil
var selinuxPolicy []byte

// selinux is the step that loads an SELinux module, which gives the agent and the files of servers types of their own. It comes
// before the agent is started. What setup writes elsewhere has the label of the directory that it is in.
type selinux struct {
	Machine
	did system.Changes // of this run
}

const (
	selinuxModule = "ndock"
	// selinuxFile is where policies let semodule read modules, which is not so of /var/lib, where earlier releases had it.
	selinuxFile        = "/usr/share/ndock/ndock.cil"
	earlierSELinuxFile = "/var/lib/ndock/ndock.cil"
	runDir             = "/run/ndock"
)

// hasSELinux tells whether this kernel uses it, in force or not.
func (m Machine) hasSELinux() bool { return m.Layout.Exists("/sys/fs/selinux/enforce") }

// semoduleLimit is how long all modules may take to become one policy: minutes on a slow machine.
const semoduleLimit = 10 * time.Minute

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
	return []string{"load SELinux module " + selinuxModule + ", of the types of ndock's agent and its files (" + s.Layout.Path(selinuxFile) + ")"}, nil
}

func (s *selinux) isLoaded(ctx context.Context) (bool, error) {
	listed, err := s.semodule(ctx, "-l")
	for line := range strings.Lines(listed) {
		if words := strings.Fields(line); len(words) > 0 && words[0] == selinuxModule {
			return true, err
		}
	}
	return false, err
}

func (s *selinux) semodule(ctx context.Context, args ...string) (string, error) {
	return system.RunWithin(ctx, semoduleLimit, s.Commands, append([]string{"semodule"}, args...)...)
}

// unlabelled is at the end of the policy's file until all is labelled: the next setup then labels it.
const unlabelled = "; what was there before is not labelled yet\n"

func (s *selinux) Do(ctx context.Context) error {
	if err := s.did.Write(s.Layout.Path(selinuxFile), append(bytes.Clone(selinuxPolicy), unlabelled...), 0o644); err != nil {
		return err
	}
	if _, err := s.semodule(ctx, "-i", s.Layout.Path(selinuxFile)); err != nil {
		return err
	}
	if err := s.label(ctx); err != nil {
		return err
	}
	if err := s.did.Remove(s.Layout.Path(earlierSELinuxFile)); err != nil {
		return err
	}
	return s.did.Write(s.Layout.Path(selinuxFile), selinuxPolicy, 0o644)
}

// label gives what is there the label that the policy says.
func (s *selinux) label(ctx context.Context) error {
	for _, dir := range []string{runDir, filepath.Dir(record.File)} {
		if !s.Layout.Exists(dir) {
			continue
		}
		if _, err := system.Control(ctx, s.Commands, "restorecon", "-R", s.Layout.Path(dir)); err != nil {
			return err
		}
	}
	return nil
}

// Rollback loads the module of an earlier release where there was one, else unloads this one.
func (s *selinux) Rollback(ctx context.Context) ([]string, error) {
	if !s.did.Any() {
		return nil, nil
	}
	failed := s.did.Rollback()
	for _, before := range []string{selinuxFile, earlierSELinuxFile} {
		if s.Layout.Exists(before) {
			_, err := s.semodule(ctx, "-i", s.Layout.Path(before))
			return []string{"loaded the SELinux module of before"}, errors.Join(failed, err)
		}
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
	for _, file := range []string{selinuxFile, earlierSELinuxFile} {
		err = errors.Join(err, s.did.Remove(s.Layout.Path(file)))
		system.RemoveEmpty(s.Layout.Path(filepath.Dir(file))) // stays when it holds more
	}
	return texts, err
}

// unload returns no text where the module is not loaded.
func (s *selinux) unload(ctx context.Context) ([]string, error) {
	loaded, err := s.isLoaded(ctx)
	if err != nil || !loaded {
		return nil, err
	}
	if _, err := s.semodule(ctx, "-r", selinuxModule); err != nil {
		return nil, err
	}
	return []string{"unloaded SELinux module " + selinuxModule}, s.label(ctx)
}

func (s *selinux) Detail(context.Context) (string, error) {
	return "module " + selinuxModule + " is loaded", nil
}
