package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// reload has the engine read its file, and waits until it is as the file says.
func (d *daemonJSON) reload(ctx context.Context, done func(EngineFacts) bool) error {
	pid, err := d.Services.PID(ctx, d.Layout.Engine.Service)
	if err != nil || pid == 0 { // it reads the file when it starts
		return err
	}
	if _, err := control(ctx, d.Commands, "kill", "-HUP", strconv.Itoa(pid)); err != nil {
		return err
	}
	err = await(ctx, d.Patience.Poll, d.Patience.Engine, func(ctx context.Context) error {
		facts, err := d.EngineFacts(ctx)
		if err == nil && !done(facts) {
			err = fmt.Errorf("its live-restore is %t, its runtimes are %s", facts.LiveRestore, strings.Join(facts.Runtimes, ", "))
		}
		return err
	})
	if err != nil {
		return advise(fmt.Errorf("have Docker Engine read %s: %w", d.path(), err), "see what it says: %s; if it reads another file, make these settings there yourself",
			d.Services.ReadLog(d.Layout.Engine.Service))
	}
	return nil
}

// restart has an engine that runs begin anew. One that fails to is started again while there is time: Docker gives up
// when someone else, as Neutron's agent, edits the packet filter at the same moment.
func (d *daemonJSON) restart(ctx context.Context) error {
	service := d.Layout.Engine.Service
	pid, err := d.Services.PID(ctx, service)
	if err != nil || pid == 0 && !d.ran {
		return err
	}
	first := d.Services.Restart(ctx, service)
	err = await(ctx, 10*d.Patience.Poll, d.Patience.Engine, func(ctx context.Context) error {
		if pid, err := d.Services.PID(ctx, service); err == nil && pid == 0 {
			return errors.Join(errors.New("it has ended"), d.Services.Start(ctx, service))
		}
		_, err := d.EngineFacts(ctx)
		return err
	})
	if err != nil {
		return advise(fmt.Errorf("restart Docker Engine: %w", errors.Join(first, err)), "see what it says: %s", d.Services.ReadLog(service))
	}
	return nil
}
