package instance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/naming"
	"ndock/docker/engine"
	"ndock/docker/network"
	"ndock/docker/ociruntime"
)

// Orphans finds and removes what no server has any more. Each verb records what it makes before it makes it, and takes back
// what it could not finish. What is left all the same, as after a power failure, is found by looking.
type Orphans struct {
	engine     engine.Docker
	containers *Containers
	verbs      *verbs
	dirs       directories
	remover    *Remover
	commits    *commits
	choices    *choices
	namespaces string // directory of the networks of running containers
	copies     string // directory of their copies of /etc/hosts and its like
	log        *slog.Logger
}

// abandonedAfter is how long a server's directory may be without a container: an image can take an hour to come.
const abandonedAfter = 2 * time.Hour

// cleanupInterval is the time between two searches.
const cleanupInterval = 10 * time.Minute

// Run removes orphans from time to time, until the context ends.
func (o *Orphans) Run(ctx context.Context) {
	tick := time.NewTicker(cleanupInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		o.cleanUp(ctx)
	}
}

func (o *Orphans) cleanUp(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, agent.ShortTimeout)
	defer cancel()
	if _, err := o.Remove(limited); err != nil && limited.Err() == nil {
		o.log.Error("what no server has any more cannot all be removed", "reason", err)
	}
}

// List returns what is there of servers, and no server's.
func (o *Orphans) List(ctx context.Context) ([]agent.Orphan, error) {
	all := []agent.Orphan{}
	var failed []error
	for _, find := range []func(context.Context) ([]agent.Orphan, error){
		o.servers, o.ports, o.networks, o.commits.orphans, o.strays,
	} {
		found, err := find(ctx)
		failed = append(failed, err)
		all = append(all, found...)
	}
	return all, errors.Join(failed...)
}

// servers returns the directories of servers that have no container.
func (o *Orphans) servers(ctx context.Context) ([]agent.Orphan, error) {
	entries, err := os.ReadDir(o.dirs.root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	held, err := o.containers.held(ctx) // later than the directories: what has come since is no orphan
	if err != nil {
		return nil, err
	}
	on, err := engine.ID(ctx, o.engine)
	if err != nil {
		return nil, err
	}
	var orphans []agent.Orphan
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || held[entry.Name()] || !naming.IsUUID(entry.Name()) { // gone since, or none of ours
			continue
		}
		orphans = append(orphans, agent.Orphan{
			Kind: "server", Name: entry.Name(), Server: entry.Name(), Since: info.ModTime(),
			Sure: time.Since(info.ModTime()) > abandonedAfter && o.dirs.madeOn(entry.Name(), on),
		})
	}
	return o.sparing(ctx, orphans)
}

// sparing does not call those sure whose container is on the disk, and only the engine does not know of it.
func (o *Orphans) sparing(ctx context.Context, orphans []agent.Orphan) ([]agent.Orphan, error) {
	if !slices.ContainsFunc(orphans, func(one agent.Orphan) bool { return one.Sure }) {
		return orphans, nil
	}
	away, err := engine.Unknown(ctx, o.engine)
	if err != nil {
		return nil, err
	}
	for i, one := range orphans {
		orphans[i].Sure = one.Sure && !away[naming.Container(one.Name)] && !away[naming.Backup(one.Name)]
	}
	return orphans, nil
}

// ports returns the veths that are recorded for no server.
func (o *Orphans) ports(context.Context) ([]agent.Orphan, error) {
	plugged, err := network.Plugged(o.dirs.root)
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

// networks returns those of containers that Docker does not know, and their copies of /etc/hosts and its like. Docker is
// asked for all containers at once: for that it needs the lock of none, and one that hangs does not hold up the others. They are
// not sure to be no one's where the container's server is here, or another engine has it: that comes back with its data.
func (o *Orphans) networks(ctx context.Context) ([]agent.Orphan, error) {
	ids, err := network.Pinned(o.namespaces)
	if err != nil {
		return nil, err
	}
	copies, err := network.Pinned(o.copies)
	if err != nil {
		return nil, err
	}
	ids = append(ids, copies...)
	slices.Sort(ids)
	found, err := o.engine.ContainerList(ctx, container.ListOptions{All: true}) // later than the networks
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, c := range found {
		known[c.ID] = true
	}
	on, err := engine.ID(ctx, o.engine)
	if err != nil {
		return nil, err
	}
	var orphans []agent.Orphan
	var failed []error
	for _, id := range slices.Compact(ids) {
		if known[id] {
			continue
		}
		may, err := o.choices.mayBe(id, on)
		failed = append(failed, err)
		orphans = append(orphans, agent.Orphan{Kind: "network", Name: id, Sure: err == nil && !may})
	}
	return orphans, errors.Join(failed...)
}

// strays returns the containers of servers of which nothing else is here, not even a directory: they are never sure to be no one's, for
// there are files in them, and Nova may know better. And it returns those that Docker has made and no agent has completed, unless a
// verb is at their server, which may still do it.
func (o *Orphans) strays(ctx context.Context) ([]agent.Orphan, error) {
	found, err := o.containers.labelled(ctx)
	if err != nil {
		return nil, err
	}
	var orphans []agent.Orphan
	for _, c := range found {
		uuid := c.Labels[naming.LabelServer]
		if !naming.IsUUID(uuid) {
			continue
		}
		for _, name := range []string{naming.Container(uuid), naming.Backup(uuid), naming.Unfinished(uuid)} {
			if !slices.Contains(c.Names, "/"+name) {
				continue
			}
			unfinished := name == naming.Unfinished(uuid)
			if unfinished && o.isIdle(uuid) || !unfinished && o.hasNoDirectory(uuid) {
				orphans = append(orphans, agent.Orphan{Kind: "container", Name: name, Server: uuid, Since: time.Unix(c.Created, 0), Sure: unfinished})
			}
		}
	}
	return orphans, nil
}

func (o *Orphans) hasNoDirectory(uuid string) bool {
	_, err := os.Stat(o.dirs.of(uuid))
	return errors.Is(err, os.ErrNotExist)
}

// isIdle tells whether no verb is at a server.
func (o *Orphans) isIdle(uuid string) bool {
	release, free := o.verbs.locks.Try(uuid)
	if free {
		release()
	}
	return free
}

// orphanLimit is how long the removal of one may take: others wait behind it.
const orphanLimit = 15 * time.Second

// Remove removes those that are sure to be orphans, and returns them. It looks at each once more before, with its server's
// lock, so that no verb is at it.
func (o *Orphans) Remove(ctx context.Context) ([]agent.Orphan, error) {
	all, err := o.List(ctx)
	removed, failed := []agent.Orphan{}, []error{err, o.commits.forgetOld(ctx), o.choices.forgetOld(ctx)}
	for _, orphan := range all {
		if !orphan.Sure {
			continue
		}
		if err := o.remove(ctx, orphan); err != nil {
			failed = append(failed, fmt.Errorf("%s %s: %w", orphan.Kind, orphan.Name, err))
			continue
		}
		o.log.Warn("what no server has any more was removed", "kind", orphan.Kind, "name", orphan.Name, "server", orphan.Server)
		removed = append(removed, orphan)
	}
	return removed, errors.Join(failed...)
}

func (o *Orphans) remove(ctx context.Context, orphan agent.Orphan) error {
	ctx, cancel := context.WithTimeout(ctx, orphanLimit)
	defer cancel()
	switch orphan.Kind {
	case "image":
		return o.commits.removeOrphan(ctx, orphan)
	case "network":
		return errors.Join(network.Leave(nil, filepath.Join(o.namespaces, orphan.Name)), ociruntime.ReleaseNames(filepath.Join(o.copies, orphan.Name)))
	}
	release, err := o.verbs.locks.Acquire(ctx, orphan.Server)
	if err != nil {
		return err
	}
	defer release()
	switch orphan.Kind {
	case "port":
		return o.removePort(orphan)
	case "container": // no other kind of them is ever sure to be an orphan
		return o.remover.removeUnfinished(ctx, orphan.Server)
	}
	now, err := o.servers(ctx)
	if err != nil || !slices.ContainsFunc(now, func(one agent.Orphan) bool { return one.Name == orphan.Name && one.Sure }) {
		return err
	}
	return o.remover.removeAll(ctx, orphan.Server, nil)
}

func (o *Orphans) removePort(orphan agent.Orphan) error {
	plugged, err := network.Plugged(o.dirs.root)
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
