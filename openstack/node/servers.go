package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ndock/openstack"
)

// servers is the step that changes nothing: it keeps setup from taking servers away from another driver, and teardown from
// taking them away from ours.
type servers struct {
	Machine
	conf *config
	nova *hypervisor
}

func (s *servers) Title() string { return "servers" }

func (s *servers) Plan(ctx context.Context) ([]string, error) {
	if plan, err := s.conf.Plan(ctx); s.Force || err != nil || len(plan) == 0 {
		return nil, nil // they are ours by now; an error is told by that step
	}
	lost, err := s.lost(ctx)
	if err != nil || len(lost) == 0 {
		return nil, err
	}
	return nil, advise(fmt.Errorf("there are %d servers on %s that are no containers, and that Nova would lose: %s", len(lost), s.Host, some(lost)),
		"migrate or delete them first; or give --force, which leaves them behind")
}

// lost are the servers that Nova has here and Docker has not.
func (s *servers) lost(ctx context.Context) ([]string, error) {
	nova, err := s.nova.api(ctx)
	if err != nil {
		return nil, err
	}
	there, err := nova.ServersOn(ctx, s.Host)
	if openstack.Refused(err) {
		return nil, &Unchecked{"only an administrator may list the servers of all projects"}
	}
	if err != nil {
		return nil, err
	}
	facts, _ := s.EngineFacts(ctx) // no engine has no containers
	var lost []string
	for _, server := range there {
		if !slices.Contains(facts.Servers, server.ID) {
			lost = append(lost, server.Name+" ("+server.ID+")")
		}
	}
	return lost, nil
}

// some names a few of many.
func some(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// Do has nothing to do.
func (s *servers) Do(context.Context) error { return nil }

// Undo comes before that of all other steps.
func (s *servers) Undo(ctx context.Context) ([]string, error) {
	if s.Force || !s.Tearing || !s.Layout.hasEngine() {
		return nil, nil
	}
	facts, err := s.EngineFacts(ctx)
	if err != nil {
		return nil, advise(fmt.Errorf("whether there are containers of servers here, Docker Engine does not tell: %w", err), "start it, or give --force")
	}
	if len(facts.Servers) == 0 {
		return nil, nil
	}
	return nil, advise(fmt.Errorf("there are containers of %d servers here, which Nova would lose sight of: %s", len(facts.Servers), some(facts.Servers)),
		"migrate or delete them first; or give --force, which leaves the containers behind: they cannot be started without setup")
}

func (s *servers) Detail(ctx context.Context) string {
	facts, err := s.EngineFacts(ctx)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d have containers here", len(facts.Servers))
}
