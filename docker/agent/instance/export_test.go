package instance

import (
	"context"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"ndock/docker/agent"
)

// What tests see beside the package's own names.
const (
	AccountsLimit  = accountsLimit
	AbandonedAfter = abandonedAfter
	AuthorizedKeys = authorizedKeys
	EngineFile     = engineFile
	FileLimit      = fileLimit
	LabelCommit    = labelCommit
	LogBytes       = logBytes
	PauseFile      = pauseFile
	RescuePath     = rescuePath
	ResumeEvery    = resumeEvery
	ResumeLimit    = resumeLimit
)

var (
	Confinement      = confinement
	ConfigDrivePaths = configDrivePaths
	ContainerFor     = containerFor
	LabelConfigDrive = labelConfigDrive
	StateOf          = stateOf
)

func (p *Pauses) ResumeAll(ctx context.Context) { p.resumeAll(ctx) }

func (p *Power) PauseContainer(ctx context.Context, found container.InspectResponse) error {
	return p.runner.pause(ctx, found)
}

func (p *Ports) WriteNames(uuid, dir string, of *container.Config) error {
	return p.names.write(uuid, dir, of)
}

func (p *Ports) RefreshNames(found container.InspectResponse) error { return p.names.refresh(found) }

func (s *Snapshots) Commit(ctx context.Context, uuid, id string) error {
	_, _, err := s.commits.commit(ctx, uuid, id, true)
	return err
}

func (p *Power) Lock(ctx context.Context, uuid string) (release func()) {
	release, _ = p.verbs.locks.Acquire(ctx, uuid)
	return release
}

func (o *Orphans) Images(ctx context.Context) ([]agent.Orphan, error) { return o.commits.orphans(ctx) }

// Directories are those of servers below root.
func Directories(root string) directories { return directories{root} }

func (d directories) WriteConfigDrive(uuid string, files map[string][]byte) ([]mount.Mount, error) {
	return d.writeConfigDrive(uuid, files, container.InspectResponse{})
}

func (d directories) Remove(uuid string) error { return d.remove(uuid) }
