package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/system"
)

// reload has the engine read its file, and waits until done.
func (d *daemonJSON) reload(ctx context.Context, done func(EngineInfo) bool) error {
	pid, err := d.Services.PID(ctx, d.Layout.Engine.Service)
	if err != nil || pid == 0 { // it reads the file when it starts
		return err
	}
	if _, err := system.Control(ctx, d.Commands, "kill", "-HUP", strconv.Itoa(pid)); err != nil {
		return err
	}
	err = system.Await(ctx, d.Timeouts.Poll, d.Timeouts.Engine, func(ctx context.Context) error {
		info, err := d.EngineInfo(ctx)
		if err == nil && !done(info) {
			err = fmt.Errorf("its live-restore is %t, its runtimes are %v", info.LiveRestore, info.Runtimes)
		}
		return err
	})
	if err != nil {
		return system.Advise(fmt.Errorf("have Docker Engine read %s: %w", d.path(), err), "see what it says: %s; if it reads another file, make these settings there yourself",
			d.Services.ReadLog(d.Layout.Engine.Service))
	}
	return nil
}

// restart restarts an engine that runs. One that fails to start is started again while there is time: Docker gives up when
// someone else, as Neutron's agent, edits the packet filter at the same moment.
func (d *daemonJSON) restart(ctx context.Context) error {
	service := d.Layout.Engine.Service
	pid, err := d.Services.PID(ctx, service)
	if err != nil || pid == 0 && !d.ran {
		return err
	}
	first := d.Services.Restart(ctx, service)
	err = system.Await(ctx, 10*d.Timeouts.Poll, d.Timeouts.Engine, func(ctx context.Context) error {
		if pid, err := d.Services.PID(ctx, service); err == nil && pid == 0 {
			return errors.Join(errors.New("it has ended"), d.Services.Start(ctx, service))
		}
		_, err := d.EngineInfo(ctx)
		return err
	})
	if err != nil {
		return system.Advise(fmt.Errorf("restart Docker Engine: %w", errors.Join(first, err)), "see what it says: %s", d.Services.ReadLog(service))
	}
	return nil
}

// missing returns the settings that are to be made for the engine as it is.
func (d *daemonJSON) missing(ctx context.Context, now system.Snapshot) (dockerd.Wanted, error) {
	was, err := d.history(now)
	if err != nil {
		return dockerd.Wanted{}, err
	}
	if was.meanwhile != nil { // nobody has decided on what that says
		now = was.saved
	}
	there, err := d.decided(ctx, now.Content)
	if err != nil {
		return dockerd.Wanted{}, err
	}
	info, asked := d.EngineInfo(ctx)
	if asked != nil {
		return d.beforeItStarts(ctx, there, asked)
	}
	m := dockerd.Wanted{
		LiveRestore: there.LiveRestore == nil && (!info.LiveRestore || was.switchesLiveRestore()) && !info.Swarm,
		Runtime:     !d.hasRuntime(there, info),
		Logs:        there.LogDriver == nil && there.LogOptions == nil && dockerd.Rotates(info.LogDriver),
		Userns:      there.Userns == nil && d.engine.isFresh(info),
	}
	unused, spared := !info.Swarm && len(info.Networked) == 0, info.Running == 0 || info.LiveRestore || m.LiveRestore
	m.NoNetwork = there.NetworkUndecided() && unused && spared && !d.isKollas(info)
	m.Restart = m.NoNetwork || m.Userns || d.lacksUserns(there, info) || there.NoNetwork() && unused && info.Bridge && info.Running == 0
	return m, nil
}

// lacksUserns tells whether a new engine runs without the userns-remap of its file, because a setup was killed before it
// restarted it. Once there are containers it would lose sight of them.
func (d *daemonJSON) lacksUserns(there dockerd.Settings, info EngineInfo) bool {
	return there.Userns != nil && *there.Userns != "" && !slices.Contains(info.Security, "userns") && d.engine.isFresh(info)
}

// beforeItStarts returns the settings that are to be made for an engine that does not run.
func (d *daemonJSON) beforeItStarts(ctx context.Context, there dockerd.Settings, asked error) (dockerd.Wanted, error) {
	if pid, err := d.Services.PID(ctx, d.Layout.Engine.Service); err != nil || pid != 0 {
		return dockerd.Wanted{}, errors.Join(asked, err)
	}
	return dockerd.Wanted{
		LiveRestore: there.LiveRestore == nil, NoNetwork: there.NetworkUndecided(),
		Runtime: !d.editor().HasRuntime(there) && !d.editor().HasOther(there), // containers may run on without the engine
		Logs:    there.LogDriver == nil && there.LogOptions == nil, Userns: there.Userns == nil && d.engine.isFresh(EngineInfo{}),
	}, nil
}

// isKollas tells whether Kolla has set the engine up: it makes no bridge, and a restart would restart all of OpenStack.
func (d *daemonJSON) isKollas(info EngineInfo) bool { return d.Layout.Kolla && !info.Bridge }

// checkFeasible returns an error where the settings cannot be made: the file cannot be edited, the engine reads another file,
// or it has a flag for one of them. Docker Engine does not start with a setting both as a flag and in its file.
func (d *daemonJSON) checkFeasible(ctx context.Context, now system.Snapshot, wanted dockerd.Wanted) error {
	if _, _, err := d.edited(now, wanted); err != nil {
		return err
	}
	there, err := dockerd.Parse(now.Content)
	if err != nil {
		return err
	}
	flags, err := d.engineFlags(ctx)
	if err != nil {
		return err
	}
	settings := d.editor().Settings(there, wanted)
	if err := d.checkReachable(ctx); err != nil && len(settings) > 0 {
		return err
	}
	for _, setting := range settings {
		if err := d.checkSettable(setting.Name(), flags); err != nil {
			return err
		}
	}
	return nil
}

// checkReachable returns an error where an engine answers that is not this machine's service: it reads another file, and what
// restarts it is not known.
func (d *daemonJSON) checkReachable(ctx context.Context) error {
	service := d.Layout.Engine.Service
	pid, err := d.Services.PID(ctx, service)
	if err != nil || pid != 0 {
		return err
	}
	if _, err := d.EngineInfo(ctx); err != nil {
		return nil // it does not run
	}
	return system.Advise(fmt.Errorf("an engine answers, but service %s does not run: it was started in another way, as by a snap, and does not read %s", service.Name, d.path()),
		"have it run as service %s, from a package of the distribution's or of Docker's", service.Name)
}

// checkSettable returns an error where a setting of the file would not count, or keep the engine from starting.
func (d *daemonJSON) checkSettable(name string, flags dockerd.Flags) error {
	if file, given := flags.Value("config-file"); given && filepath.Clean(file) != dockerd.File {
		return system.Advise(fmt.Errorf("set %s in %s: Docker Engine reads another file, %s, as --config-file in its command line says", name, d.path(), file),
			"have the engine read %s, or make setup's settings in the other file yourself", d.path())
	}
	flag := dockerd.FlagOf(name)
	if _, given := flags.Value(flag); given {
		return system.Advise(fmt.Errorf("set %s in %s: Docker Engine has --%s in its command line, and does not start with both", name, d.path(), flag),
			"move --%s from the command line of service %s (its unit, or a file that it reads) to %s, and restart the service", flag, d.Layout.Engine.Service.Name, d.path())
	}
	return nil
}

// decided returns what is decided on by the content of the file, or by the engine's flags.
func (d *daemonJSON) decided(ctx context.Context, content []byte) (dockerd.Settings, error) {
	there, err := dockerd.Parse(content)
	if err != nil {
		return there, fmt.Errorf("read %s: %w", d.path(), err)
	}
	flags, err := d.engineFlags(ctx)
	return there.WithFlags(flags), err
}
