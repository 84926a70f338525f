package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"

	"golang.org/x/sys/unix"

	"ndock/openstack"
	"ndock/openstack/node"
	"ndock/openstack/node/system"
)

// servers is a step that changes nothing. It stops setup where another driver would lose servers, and teardown where ours
// would.
type servers struct {
	Machine
	conf *config
	nova *hypervisor
}

func (s *servers) Title() string { return "servers" }

func (s *servers) Plan(ctx context.Context) ([]string, error) {
	if plan, err := s.conf.Plan(ctx); s.Force || err != nil || len(plan) == 0 {
		return nil, nil // the servers are ours already; an error is that step's
	}
	err := s.checkHost(ctx)
	var unchecked *node.Unchecked
	if errors.As(err, &unchecked) {
		err = cmp.Or(s.checkFiles(), err)
	}
	return nil, err
}

// checkHost returns an error where Nova or Placement knows of servers of another driver here.
func (s *servers) checkHost(ctx context.Context) error {
	lost, known, err := s.lost(ctx)
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		return system.Advise(fmt.Errorf("there are %d servers on %s that are no containers, and that Nova would lose: %s", len(lost), s.Host, openstack.Abbreviate(lost)),
			"migrate or delete them first; or give --force, which leaves them behind")
	}
	return s.checkHolders(ctx, known)
}

// lost returns the servers that Nova has here and Docker has not, and the ids of those that Docker has.
func (s *servers) lost(ctx context.Context) (lost, known []string, err error) {
	nova, err := s.nova.api(ctx)
	if err != nil {
		return nil, nil, err
	}
	there, err := patiently(ctx, s.Timeouts, func(ctx context.Context) ([]openstack.Server, error) { return nova.ServersOn(ctx, s.Host) })
	if openstack.Refused(err) {
		return nil, nil, &node.Unchecked{Why: "only an administrator may list the servers of all projects"}
	}
	if err != nil {
		return nil, nil, err
	}
	info, _ := s.EngineInfo(ctx) // without an engine there are no containers
	known = info.Servers
	for _, server := range there {
		if !slices.Contains(known, server.ID) {
			lost = append(lost, server.Name+" ("+server.ID+")")
		}
	}
	return lost, known, nil
}

// checkHolders returns an error where a consumer that is no server of ours holds resources: its files may be here.
func (s *servers) checkHolders(ctx context.Context, known []string) error {
	own, err := patiently(ctx, s.Timeouts, s.nova.find)
	if err != nil || own == nil {
		return err
	}
	holders, err := s.nova.nova.Holders(ctx, own.ID)
	if openstack.Refused(err) {
		return &node.Unchecked{Why: "only an administrator may ask Placement who holds resources"}
	}
	if err != nil {
		return err
	}
	holders = slices.DeleteFunc(holders, func(id string) bool { return slices.Contains(known, id) })
	if len(holders) == 0 {
		return nil
	}
	return system.Advise(fmt.Errorf("resources of %s are held in Placement by what is no server on it: %s", own.Hostname, openstack.Abbreviate(holders)),
		"they may be migrations: confirm or revert them; or servers that are deleted softly; 'nova-manage placement audit --resource_provider %s' names what is neither; --force leaves them as they are", own.ID)
}

// serverDirectory matches the names of directories that Nova's other drivers make for a server.
var serverDirectory = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-`)

// checkFiles returns an error where there are, or may be, files of servers. It is for where Nova cannot be asked.
func (s *servers) checkFiles() error {
	dir, err := s.Layout.InstancesDir()
	if err != nil {
		return err
	}
	path := s.Layout.Path(dir)
	names, err := readNames(path)
	if err != nil {
		return system.Advise(fmt.Errorf("whether there are files of servers, which Nova may lose, cannot be told: %w", system.FileError("read", path, err)), "mend that; or %s", orForce)
	}
	found := slices.DeleteFunc(names, func(name string) bool { return !serverDirectory.MatchString(name) })
	if len(found) == 0 {
		return nil
	}
	for i, name := range found {
		found[i] = system.Printable(name)
	}
	slices.Sort(found)
	return system.Advise(fmt.Errorf("there are files of %d servers in %s, which Nova may lose: %s", len(found), path, openstack.Abbreviate(found)), orForce)
}

const orForce = "name a cloud of an administrator's, so that Nova can be asked (OS_CLOUD, --os-cloud, or an openrc); or give --force, which leaves them behind"

// readNames lists a directory, which may be missing. It waits for no pipe that nova can have put there.
func readNames(path string) ([]string, error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// Do has nothing to do.
func (s *servers) Do(context.Context) error { return nil }

// Rollback has nothing to do.
func (s *servers) Rollback(context.Context) ([]string, error) { return nil, nil }

// Teardown returns an error where there are containers of servers. It is the first in a teardown.
func (s *servers) Teardown(ctx context.Context) ([]string, error) {
	if s.Force || !s.Layout.HasEngine() {
		return nil, nil
	}
	info, err := s.EngineInfo(ctx)
	if err != nil {
		return nil, system.Advise(fmt.Errorf("whether there are containers of servers here, Docker Engine does not tell: %w", err), "start it, or give --force")
	}
	if len(info.Servers) == 0 {
		return nil, nil
	}
	return nil, system.Advise(fmt.Errorf("there are containers of %d servers here, which Nova would lose sight of: %s", len(info.Servers), openstack.Abbreviate(info.Servers)),
		"migrate or delete them first; or give --force, which leaves the containers behind: they cannot be started without setup")
}

func (s *servers) Detail(ctx context.Context) (string, error) {
	info, err := s.EngineInfo(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d have containers here", len(info.Servers)), nil
}
