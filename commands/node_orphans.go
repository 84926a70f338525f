package commands

import (
	"context"
	"log/slog"
	"time"

	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/imagecache"
	"ndock/docker/engine"
)

// orphans asks the agent of this machine for what no server has any more.
type orphans struct {
	socket string
	limit  time.Duration // of a removal
	engine string        // Docker Engine's socket
}

// Orphans says what there is.
func (o orphans) Orphans(ctx context.Context) (sure, unsure []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	all, err := agent.NewClient(o.socket).Orphans(ctx)
	for _, orphan := range all {
		if orphan.Sure {
			sure = append(sure, orphan.String())
		} else {
			unsure = append(unsure, orphan.String())
		}
	}
	return sure, unsure, err
}

// Remove has the agent remove what is sure.
func (o orphans) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	_, err := agent.NewClient(o.socket).RemoveOrphans(ctx)
	return err
}

// RemoveImages removes what the agent has loaded. It does without the agent, which may not run, and nova-compute does not call any more.
func (o orphans) RemoveImages(ctx context.Context) (int, error) {
	docker, err := socketEngine(o.engine)
	if err != nil {
		return 0, err
	}
	defer docker.Close()
	cache := imagecache.New(engine.WithDeadlines(docker), "", config.Default(), diskspace.New(0), slog.New(slog.DiscardHandler))
	return cache.Prune(ctx, 0)
}
