package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

// ofPackage is the step that removes what setup had installed by itself before ndock's package came: its program and its man
// page would be found first. It is the last step, so that nobody needs that any more, whatever comes.
type ofPackage struct {
	Machine
	agent *agent
}

func (s *ofPackage) Title() string { return "package" }

// left returns what of it is there, the program where nobody calls it any more.
func (s *ofPackage) left(ctx context.Context) (program string, files []string, err error) {
	r, err := s.record().Read()
	if err != nil {
		return "", nil, err
	}
	for _, claim := range r.Completions {
		if claim.IsFile() && s.Layout.Exists(claim.Path) {
			files = append(files, claim.Path)
		}
	}
	for _, path := range s.agent.programs() {
		if s.agent.need(ctx, path) == "" && len(s.agent.otherServices(path)) == 0 {
			program = path
		}
	}
	return program, files, nil
}

func (s *ofPackage) Plan(ctx context.Context) ([]string, error) {
	program, files, err := s.left(ctx)
	if program != "" {
		files = append(files, program)
	}
	var plan []string
	for _, path := range files {
		plan = append(plan, "remove "+s.Layout.Path(path)+", in whose place ndock's package has another")
	}
	return plan, err
}

func (s *ofPackage) Do(ctx context.Context) error {
	program, _, err := s.left(ctx)
	if err != nil {
		return err
	}
	if _, err := s.record().RemoveClaimed(); err != nil || program == "" {
		return err
	}
	if err := new(system.Changes).Remove(s.Layout.Path(program)); err != nil {
		return err
	}
	return s.record().Amend(func(r *record.Record) { r.Program = "" })
}

// Rollback does nothing: all else is done by then, and a next setup goes on.
func (s *ofPackage) Rollback(context.Context) ([]string, error) { return nil, nil }

// Teardown removes the man page and the completions that Do has not come to. The program is the agent's to remove.
func (s *ofPackage) Teardown(context.Context) ([]string, error) { return s.record().RemoveClaimed() }

func (s *ofPackage) Detail(context.Context) (string, error) {
	return "ndock is " + s.Layout.Package + " of its package, which has the unit, the man page and the completions", nil
}

// packaged tells whether ndock's package is installed here.
func (m Machine) packaged() bool { return m.Layout.Package != "" }

// program returns what the agent's service runs.
func (a *agent) program() string {
	if a.packaged() {
		return a.Layout.Package
	}
	return a.Layout.AgentFile
}

// ofProgram has a service run the program that is here.
func (a *agent) ofProgram(text string) string {
	return strings.Replace(text, "/usr/local/bin/ndock", a.program(), 1)
}

// checkPackage refuses to set up a machine by another ndock than its package's: they would have two agents, of which one runs.
func (a *agent) checkPackage(program []byte) error {
	same, err := system.Holds(a.Layout.Path(a.Layout.Package), program, 0o755)
	switch {
	case err != nil:
		return err
	case !same:
		return system.Advise(fmt.Errorf("this ndock is another one than %s of the package that is installed here", a.Layout.Path(a.Layout.Package)),
			"run that one, upgrade the package, or tear the node down and remove the package")
	}
	same, err = system.Holds(a.Layout.Path(a.Layout.Runtime), a.Runtime, 0o755)
	if err == nil && !same {
		return system.Advise(fmt.Errorf("%s is not as ndock's package has it", a.Layout.Path(a.Layout.Runtime)), "install the package again")
	}
	return err
}

// dropIn returns what the package's unit lacks on this machine.
func (a *agent) dropIn() []byte {
	var text bytes.Buffer
	if name := a.Layout.Compute.Name; name != "nova-compute" {
		fmt.Fprintf(&text, "[Unit]\nBefore=%s.service\n", name)
	}
	if start := "node agent"; a.Layout.User != "nova" {
		fmt.Fprintf(&text, "[Service]\nExecStart=\nExecStart=%s %s\n", a.program(), a.forUser(start))
	}
	if text.Len() == 0 {
		return nil
	}
	return append([]byte("# Written by 'ndock node setup', removed by 'ndock node teardown'.\n"), text.Bytes()...)
}

// superseded returns what setup wrote for the service before the package came, or before the layout was as it is.
func (a *agent) superseded() []string {
	if !a.packaged() {
		return nil
	}
	now := map[string]bool{}
	for _, f := range a.daemon() {
		now[f.Path] = true
	}
	var paths []string
	for _, f := range a.Services.Files(system.Daemon{Name: agentName, Unit: agentUnit, DropIn: agentUnit}) {
		if !now[f.Path] && system.BeginsWith(a.Layout.Path(f.Path), "# Written by 'ndock node setup'") {
			paths = append(paths, f.Path)
		}
	}
	return paths
}

// supersede removes these. The service's links name the unit, and would be left.
func (a *agent) supersede(ctx context.Context) error {
	paths := a.superseded()
	if len(paths) == 0 {
		return nil
	}
	failed := []error{a.Services.Disable(ctx, a.service())}
	for _, path := range paths {
		failed = append(failed, a.did.Remove(a.Layout.Path(path)))
	}
	return errors.Join(failed...)
}

// isService tells whether there is the agent's service.
func (a *agent) isService() bool { return a.Layout.Exists(a.Services.Descriptions(a.service())...) }

// active tells whether the service runs, or is started at boot.
func (a *agent) active(ctx context.Context) (bool, error) {
	if !a.isService() {
		return false, nil
	}
	state, err := a.state(ctx)
	return state != nil && (state.running || state.enabled), err
}
