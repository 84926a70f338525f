package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"ndock/openstack"
	"ndock/openstack/node"
	"ndock/openstack/node/system"
	"ndock/openstack/novadriver"
)

// hypervisor is the step that waits until Nova's API lists this host as a hypervisor of Docker.
type hypervisor struct {
	Machine
	nova    Cloud
	service *novaCompute
}

func (h *hypervisor) Title() string { return "hypervisor" }

func (h *hypervisor) Plan(ctx context.Context) ([]string, error) {
	err := h.check(ctx)
	var not *notReady
	if !errors.As(err, &not) {
		return nil, err
	}
	text := fmt.Sprintf("wait until Nova lists %s as a hypervisor of type docker that is up", h.Host)
	if openstack.Failing(err) {
		text += fmt.Sprintf("; now it fails: %v", err)
	}
	return []string{text}, nil
}

func (h *hypervisor) Do(ctx context.Context) error {
	var tried time.Time
	var failed error // of the last attempt to map the host
	complaints := h.service.currentLog(ctx)
	err := system.Await(ctx, 10*h.Timeouts.Poll, h.Timeouts.Hypervisor, func(ctx context.Context) error {
		if pid, err := h.Services.PID(ctx, h.Layout.Compute); err == nil && pid == 0 {
			return system.Permanent(fmt.Errorf("%s has ended", h.Layout.Compute.Name))
		}
		err := h.check(ctx)
		var unknown *unlisted
		if errors.As(err, &unknown) && time.Since(tried) > 100*h.Timeouts.Poll {
			failed, tried = h.discover(ctx), time.Now()
		}
		return errors.Join(err, failed)
	})
	if err != nil {
		return system.Advise(fmt.Errorf("wait for the hypervisor: %w", complaints.Explain(err)), "see what %s says: %s; a host that Nova sees for the first time needs 'nova-manage cell_v2 discover_hosts --by-service' on the controller",
			h.Layout.Compute.Name, h.Services.ReadLog(h.Layout.Compute))
	}
	return nil
}

// unlisted is the error of a host that Nova has not mapped to a cell, or does not know yet.
type unlisted struct{ host string }

func (u *unlisted) Error() string {
	return fmt.Sprintf("host %s is no hypervisor that Nova lists", u.host)
}

// discover maps new hosts to their cell, if this machine is a controller, too. It goes by services: since Nova 31 the node of a
// host whose service was deleted and made anew counts as mapped.
func (h *hypervisor) discover(ctx context.Context) error {
	manage := filepath.Join(filepath.Dir(h.Layout.Program), "nova-manage")
	if h.Layout.Program == "" || !h.Layout.Exists(manage) {
		return nil
	}
	conf, err := readIfThere(h.Layout.Path(novaConf))
	if err != nil || conf == nil {
		return err
	}
	database, _, err := conf.Get("api_database", "connection")
	if err != nil || database == "" || strings.HasPrefix(database, "sqlite:") { // the packages' default
		return err
	}
	_, err = system.Control(ctx, h.Commands, append(system.AsUser(h.Layout.User), manage, "--config-file", h.Layout.Path(novaConf), "cell_v2", "discover_hosts", "--by-service")...)
	return err
}

// novaConf has the database of Nova's API, on a controller.
const novaConf = "/etc/nova/nova.conf"

// notReady is the error of a host that is not yet a hypervisor of Docker for Nova.
type notReady struct{ error }

func (n *notReady) Unwrap() error { return n.error }

// check returns nil once the host is a hypervisor of Docker that is up.
func (h *hypervisor) check(ctx context.Context) error {
	own, err := h.find(ctx)
	switch {
	case openstack.Failing(err):
		return &notReady{err}
	case err != nil:
		return err
	case own == nil:
		return &notReady{&unlisted{h.Host}}
	case !strings.EqualFold(own.Type, "docker") || own.State != "up":
		return &notReady{fmt.Errorf("host %s is listed by Nova as a hypervisor of type %s that is %s", h.Host, own.Type, own.State)}
	}
	return nil
}

// find returns this host's hypervisor, nil where Nova lists none.
func (h *hypervisor) find(ctx context.Context) (*openstack.Hypervisor, error) {
	nova, err := h.api(ctx)
	if err != nil {
		return nil, err
	}
	all, err := nova.Hypervisors(ctx)
	if openstack.Refused(err) {
		return nil, &node.Unchecked{Why: "only an administrator may list hypervisors"}
	}
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.ServiceHost == h.Host { // its own name can be another
			return &one, nil
		}
	}
	return nil, nil
}

// patiently asks Nova a question until it answers, or has failed for too long: it does so for some time after a nova-compute
// has died.
func patiently[T any](ctx context.Context, wait Timeouts, question func(context.Context) (T, error)) (answer T, err error) {
	if wait.Nova == 0 {
		return question(ctx)
	}
	err = system.Await(ctx, 10*wait.Poll, wait.Nova, func(ctx context.Context) error {
		answer, err = question(ctx)
		if err != nil && !openstack.Failing(err) {
			return system.Permanent(err)
		}
		return err
	})
	if openstack.Failing(err) {
		err = system.Advise(fmt.Errorf("wait for Nova: %w", err), "the log of Nova's API has the reason, under this request; run this again when it is mended")
	}
	return answer, err
}

// api returns Nova's API, and opens it once.
func (h *hypervisor) api(ctx context.Context) (Cloud, error) {
	if h.nova == nil {
		nova, err := h.Nova(ctx)
		if err != nil {
			return nil, err
		}
		h.nova = nova
	}
	return h.nova, nil
}

// Rollback and Teardown have nothing to do yet: see Settle.
func (h *hypervisor) Rollback(context.Context) ([]string, error) { return nil, nil }
func (h *hypervisor) Teardown(context.Context) ([]string, error) { return nil, nil }

// After returns what novaCompute waits for, too, which settles first.
func (h *hypervisor) After() []node.Step { return h.service.files }

// Settle removes the driver's traits in Placement, once nova-compute has its old driver back, which replaces everything else
// there.
func (h *hypervisor) Settle(ctx context.Context) ([]string, error) {
	if plan, err := h.service.conf.Plan(ctx); err == nil && len(plan) == 0 {
		return nil, nil // the driver of before is ndock's, too
	}
	ctx, cancel := context.WithTimeout(ctx, h.Timeouts.Hypervisor) // the rest of the undoing does not wait for ever
	defer cancel()
	wait := h.Timeouts
	if !h.service.hadDriver() {
		wait.Nova = 0 // it is no matter then
	}
	own, err := patiently(ctx, wait, h.find)
	if err == nil && (own == nil || !h.service.hadDriver() && strings.EqualFold(own.Type, "docker")) {
		return nil, nil // it has no traits of ours, or is still ours
	}
	var removed []string
	if err == nil {
		removed, err = h.nova.RemoveTraits(ctx, own.ID, novadriver.Traits)
	}
	switch {
	case err != nil && !h.service.hadDriver():
		return nil, nil
	case err != nil:
		return []string{fmt.Sprintf("left the traits %s in Placement, where a flavor may ask for them: %v; run 'ndock node teardown' again when an administrator's credentials are there",
			strings.Join(novadriver.Traits, ", "), err)}, nil
	case len(removed) == 0:
		return nil, nil
	}
	return []string{fmt.Sprintf("took %s from %s in Placement", strings.Join(removed, ", "), own.Hostname)}, nil
}

func (h *hypervisor) Detail(ctx context.Context) (string, error) {
	own, err := h.find(ctx)
	if err == nil && own == nil { // any more
		err = &unlisted{h.Host}
	}
	if err != nil {
		return "", err
	}
	name := h.Host
	if own.Hostname != h.Host {
		name += ", called " + own.Hostname + ","
	}
	return fmt.Sprintf("%s is up, type %s, id %s", name, own.Type, own.ID), nil
}
