package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"ndock/docker/agent"
	"ndock/docker/network"
	"ndock/docker/ociruntime"
)

// Each verb writes down what it makes before it makes it, and takes back what it could not finish. What is left all the
// same, when the power failed or someone else had a hand in it, is found by looking.

// patience is how long a server's directory may be without a container: an image can take an hour to come.
const patience = 2 * time.Hour

// tidyEvery is the time between two looks.
const tidyEvery = 10 * time.Minute

// tidy puts right from time to time what broke off.
func (s *Server) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.within(ctx, func(ctx context.Context) {
			if _, err := s.removeOrphans(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("what no server has any more cannot all be removed", "reason", err)
			}
		})
	}
}

func (s *Server) within(ctx context.Context, do func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	do(ctx)
}

func (s *Server) getOrphans(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.orphans(r.Context())
}

func (s *Server) deleteOrphans(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.removeOrphans(r.Context())
}

// orphans returns what is there of servers, and no server's.
func (s *Server) orphans(ctx context.Context) ([]agent.Orphan, error) {
	all := []agent.Orphan{}
	var failed []error
	for _, find := range []func(context.Context) ([]agent.Orphan, error){
		s.orphanServers, s.orphanPorts, s.orphanNetworks, s.orphanImages, s.orphanContainers,
	} {
		found, err := find(ctx)
		failed = append(failed, err)
		all = append(all, found...)
	}
	return all, errors.Join(failed...)
}

// orphanServers are directories of servers that have no container.
func (s *Server) orphanServers(ctx context.Context) ([]agent.Orphan, error) {
	entries, err := os.ReadDir(s.state)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	held, err := s.withContainers(ctx) // later than the directories: what has come since is no orphan
	if err != nil {
		return nil, err
	}
	engine, err := s.engineID(ctx)
	if err != nil {
		return nil, err
	}
	var orphans []agent.Orphan
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || held[entry.Name()] || !uuidPattern.MatchString(entry.Name()) { // gone since, or none of ours
			continue
		}
		orphans = append(orphans, agent.Orphan{
			Kind: "server", Name: entry.Name(), Server: entry.Name(), Since: info.ModTime(),
			Sure: time.Since(info.ModTime()) > patience && s.madeOn(entry.Name(), engine),
		})
	}
	return orphans, nil
}

// engineFile says which engine has made a server's container. The id is in the engine's data directory: where that is
// another one today, or not mounted, no container is there, and none is lost.
const engineFile = "engine"

func (s *Server) engineID(ctx context.Context) (string, error) {
	info, err := s.docker.Info(ctx)
	return info.ID, err
}

// noteEngine writes it down.
func (s *Server) noteEngine(ctx context.Context, uuid string) error {
	id, err := s.engineID(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.serverDir(uuid), engineFile), []byte(id), 0o600)
}

// madeOn tells whether a server's container, if it ever had one, was made by this engine.
func (s *Server) madeOn(uuid, engine string) bool {
	id, err := os.ReadFile(filepath.Join(s.serverDir(uuid), engineFile))
	return errors.Is(err, os.ErrNotExist) || err == nil && string(id) == engine
}

// touch has a server count as one that is being made: its container goes, and another will come.
func (s *Server) touch(uuid string) error {
	now := time.Now()
	if err := os.Chtimes(s.serverDir(uuid), now, now); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// withContainers are the servers that have one, be it set aside.
func (s *Server) withContainers(ctx context.Context) (map[string]bool, error) {
	found, err := s.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelServer))})
	held := map[string]bool{}
	for _, uuid := range Of(found) {
		held[uuid] = true
	}
	return held, err
}

// Of are the servers whose containers are among these, each once, also where they are set aside.
func Of(containers []container.Summary) []string {
	var uuids []string
	for _, c := range containers {
		uuid := c.Labels[labelServer]
		named := slices.Contains(c.Names, "/"+namePrefix+uuid) || slices.Contains(c.Names, "/"+asideName(uuid))
		if uuid != "" && named && !slices.Contains(uuids, uuid) {
			uuids = append(uuids, uuid)
		}
	}
	return uuids
}

// orphanPorts are cables that are written down for no server.
func (s *Server) orphanPorts(context.Context) ([]agent.Orphan, error) {
	plugged, err := network.Plugged(s.state)
	if err != nil {
		return nil, err
	}
	var orphans []agent.Orphan
	var failed []error
	for _, port := range plugged {
		orphan, err := network.Orphan(port)
		failed = append(failed, err)
		if err == nil && orphan {
			orphans = append(orphans, agent.Orphan{Kind: "port", Name: port.Tap(), Server: port.Server, Sure: true})
		}
	}
	return orphans, errors.Join(failed...)
}

// orphanNetworks are those of containers that Docker does not know, and their copies of /etc/hosts and its like. Docker is asked for all containers at once: for
// that it needs the lock of none, and one that hangs keeps nobody from looking.
func (s *Server) orphanNetworks(ctx context.Context) ([]agent.Orphan, error) {
	ids, err := network.Held(s.holders)
	if err != nil {
		return nil, err
	}
	copies, err := network.Held(s.names)
	if err != nil {
		return nil, err
	}
	ids = append(ids, copies...)
	slices.Sort(ids)
	found, err := s.docker.ContainerList(ctx, container.ListOptions{All: true}) // later than the networks
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, c := range found {
		known[c.ID] = true
	}
	var orphans []agent.Orphan
	for _, id := range slices.Compact(ids) {
		if !known[id] {
			orphans = append(orphans, agent.Orphan{Kind: "network", Name: id, Sure: true})
		}
	}
	return orphans, nil
}

// orphanContainers are those that are set aside for a server of which nothing else is here, not even its directory. They
// are never sure to be no one's: there are files in them, and Nova may know better.
func (s *Server) orphanContainers(ctx context.Context) ([]agent.Orphan, error) {
	found, err := s.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelServer))})
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, c := range found {
		for _, name := range c.Names {
			names[name] = true
		}
	}
	var orphans []agent.Orphan
	for _, c := range found {
		uuid := c.Labels[labelServer]
		if !uuidPattern.MatchString(uuid) || !slices.Contains(c.Names, "/"+asideName(uuid)) || names["/"+namePrefix+uuid] {
			continue
		}
		if _, err := os.Stat(s.serverDir(uuid)); errors.Is(err, os.ErrNotExist) {
			orphans = append(orphans, agent.Orphan{Kind: "container", Name: asideName(uuid), Server: uuid, Since: time.Unix(c.Created, 0)})
		}
	}
	return orphans, nil
}

// orphanLimit is how long the removal of one may take: others wait behind it.
const orphanLimit = 15 * time.Second

// removeOrphans looks at each once more before it goes: with its server's lock, so that no verb is at it.
func (s *Server) removeOrphans(ctx context.Context) ([]agent.Orphan, error) {
	all, err := s.orphans(ctx)
	removed, failed := []agent.Orphan{}, []error{err, s.forgetCommits(ctx)}
	for _, orphan := range all {
		if !orphan.Sure {
			continue
		}
		if err := s.removeOrphan(ctx, orphan); err != nil {
			failed = append(failed, fmt.Errorf("%s %s: %w", orphan.Kind, orphan.Name, err))
			continue
		}
		s.log.Warn("what no server has any more was removed", "kind", orphan.Kind, "name", orphan.Name, "server", orphan.Server)
		removed = append(removed, orphan)
	}
	return removed, errors.Join(failed...)
}

func (s *Server) removeOrphan(ctx context.Context, orphan agent.Orphan) error {
	ctx, cancel := context.WithTimeout(ctx, orphanLimit)
	defer cancel()
	switch orphan.Kind {
	case "image":
		return s.removeOrphanImage(ctx, orphan)
	case "network":
		return errors.Join(network.Leave(nil, filepath.Join(s.holders, orphan.Name)), ociruntime.ReleaseNames(filepath.Join(s.names, orphan.Name)))
	}
	release, err := s.servers.acquire(ctx, orphan.Server)
	if err != nil {
		return err
	}
	defer release()
	if orphan.Kind == "port" {
		return s.removeOrphanPort(orphan)
	}
	now, err := s.orphanServers(ctx)
	if err != nil || !slices.ContainsFunc(now, func(o agent.Orphan) bool { return o.Name == orphan.Name && o.Sure }) {
		return err
	}
	return s.removeAll(ctx, orphan.Server, nil)
}

func (s *Server) removeOrphanPort(orphan agent.Orphan) error {
	plugged, err := network.Plugged(s.state)
	if err != nil {
		return err
	}
	for _, port := range plugged {
		if port.Tap() != orphan.Name || port.Server != orphan.Server {
			continue
		}
		if still, err := network.Orphan(port); err != nil || !still {
			return err
		}
		return network.Unplug(port)
	}
	return nil
}
