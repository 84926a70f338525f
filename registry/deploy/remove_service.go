package deploy

import (
	"context"
	"errors"
	"os"
	"syscall"

	"ndock/registry/internal/rollback"
)

// serviceRemoval removes the service, or what is left of one.
type serviceRemoval struct {
	RemoveOptions
	systemd Systemd

	untrusted, ended bool // so that the configuration, and the data, are needed no more
}

func (r *serviceRemoval) left() bool {
	return r.systemd.exists(configPath) || r.systemd.exists(statePath)
}

func (r *serviceRemoval) run(ctx context.Context) error {
	return r.all(ctx, []rollback.Step{
		{Title: "trust", Do: r.trust, ByHand: "take the CA of ndock out of the files in " + r.CertsDir},
		{Title: "service", Do: r.end, ByHand: "systemctl disable --now " + serviceName},
		{Title: "unit", Do: r.unit, ByHand: "rm /" + unitPath + "; systemctl daemon-reload"},
		{Title: "configuration", Do: r.config, ByHand: "rm -r /" + configPath},
		{Title: "data", Do: r.data, ByHand: "rm -r /" + statePath + "; userdel " + serviceName},
	})
}

// trust comes first, because only the configuration tells which CA is to go.
func (r *serviceRemoval) trust(context.Context) error {
	config, err := r.systemd.readFiles()
	if err != nil {
		return err
	}
	err = r.removeTrust(config)
	r.untrusted = err == nil
	return err
}

func (r *serviceRemoval) end(ctx context.Context) error {
	r.ended = true
	if !r.systemd.exists(unitPath) {
		return nil
	}
	r.Report.Step("removing service %s", serviceName)
	for _, verb := range []string{"stop", "disable"} {
		if err := r.systemd.control(ctx, verb); err != nil {
			r.ended = false
			return err
		}
	}
	r.systemd.control(ctx, "reset-failed") // or systemd remembers that it failed; an error where it did not
	return nil
}

func (r *serviceRemoval) unit(ctx context.Context) error {
	switch {
	case !r.systemd.exists(unitPath):
		return nil
	case !r.ended:
		return errStays("the service has ended")
	}
	if err := r.systemd.writeUnit(nil); err != nil {
		return err
	}
	return r.systemd.reload(ctx)
}

func (r *serviceRemoval) config(context.Context) error {
	switch {
	case !r.ended:
		return errStays("the service has ended")
	case !r.untrusted:
		return errStays("this host trusts its CA no more, which stands there alone")
	}
	return r.dir(configPath)
}

func (r *serviceRemoval) data(ctx context.Context) error {
	switch {
	case !r.systemd.exists(statePath) && r.ended:
		return r.user(ctx)
	case !r.systemd.exists(statePath):
	case r.Data && !r.ended:
		return errStays("the service has ended")
	case r.Data:
		return inOrder(ctx, func(context.Context) error { return r.dir(statePath) }, r.user)
	default:
		r.Report.Step("%s stays, with what was pushed; --data removes it", onHost.data)
	}
	return nil
}

// user removes the user, once it owns no files any more.
func (r *serviceRemoval) user(ctx context.Context) error {
	if _, err := r.systemd.group(); err != nil { // there is none
		return nil
	}
	_, err := r.systemd.run(ctx, "/usr/sbin/userdel", serviceName)
	return denied("remove user "+serviceName, err)
}

func (r *serviceRemoval) dir(name string) error {
	if !r.systemd.exists(name) {
		return nil
	}
	switch err := os.RemoveAll(r.systemd.path(name)); {
	case errors.Is(err, syscall.EBUSY): // the operator's mount
		r.Report.Step("emptied /%s, where something is mounted", name)
	case err != nil:
		return denied("remove /"+name, err)
	default:
		r.Report.Step("removed /%s", name)
	}
	return nil
}
