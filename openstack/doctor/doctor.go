// Package doctor looks at a cloud from outside, through its APIs alone, and says what stands between a clouds.yaml and
// a Docker image that boots, and which command fixes it. It changes nothing.
package doctor

import (
	"context"
	"slices"

	"ndock/openstack"
)

// State is what came of a check.
type State string

// The states of a check.
const (
	OK      State = "ok"
	Warning State = "warning" // it works, but not for all or not for long
	Failed  State = "error"
	Unknown State = "unknown" // cannot be told from here
)

// Finding is what a check has found.
type Finding struct {
	Check  string
	State  State
	Detail string // a sentence
	Fix    string // the command that fixes it, or shows more of it; never empty for an error
}

// Cloud is what the checks ask.
type Cloud interface {
	Session() openstack.Session
	Reach(ctx context.Context, service string) (url string, err error)
	Formats(ctx context.Context) (openstack.Formats, error)
	Images(ctx context.Context) ([]openstack.Image, error)
	Image(ctx context.Context, nameOrID string) (openstack.Image, error)
	MachineImages(ctx context.Context) ([]openstack.Image, error)
	Reserved(ctx context.Context, taken string) (openstack.Reserved, error)
	ImageCount(ctx context.Context) (images, layers int, err error)
	ImageQuota(ctx context.Context) (*openstack.Quota, error)
	ComputeServices(ctx context.Context) ([]openstack.ComputeService, error)
	Hypervisors(ctx context.Context) ([]openstack.Hypervisor, error)
	Traits(ctx context.Context, hypervisor string) ([]string, error)
	Flavors(ctx context.Context) ([]openstack.Flavor, error)
	Fits(ctx context.Context, flavor openstack.Flavor) (bool, error)
	ServerQuota(ctx context.Context) (openstack.ServerQuota, error)
	Networks(ctx context.Context) ([]openstack.Network, error)
	Addresses(ctx context.Context) (map[string]openstack.Addresses, error)
	PortQuota(ctx context.Context) (openstack.Quota, error)
	Agents(ctx context.Context) ([]openstack.Agent, error)
	NewestServers(ctx context.Context, status string, limit int) ([]openstack.Server, error)
	Server(ctx context.Context, nameOrID string) (openstack.Server, error)
	EndedAtOnce(ctx context.Context, server openstack.Server) (bool, error)
}

var _ Cloud = (*openstack.Cloud)(nil)

// Open logs in.
type Open func(ctx context.Context) (Cloud, error)

// check is one thing to look at.
type check struct {
	name  string
	after []string // the checks without which this one can tell nothing
	look  func(ctx context.Context, x *examination) Finding
}

// checks are in the order in which one would set a cloud up.
func checks() []check {
	return []check{
		{"credentials", nil, credentials},
		{"glance", []string{"credentials"}, service("image", "glance")},
		{"nova", []string{"credentials"}, service("compute", "nova")},
		{"neutron", []string{"credentials"}, service("network", "neutron")},
		{"placement", []string{"credentials"}, service("placement", "placement")},
		{"formats", []string{"glance"}, formats},
		{"pushing", []string{"glance"}, pushing},
		{"publishing", []string{"credentials"}, publishing},
		{"cells", []string{"nova"}, cells},
		{"hypervisors", []string{"nova"}, hypervisors},
		{"properties", []string{"glance", "nova"}, properties},
		{"flavors", []string{"nova"}, flavors},
		{"quota", []string{"flavors"}, quota},
		{"room", []string{"placement", "hypervisors", "flavors"}, room},
		{"networks", []string{"neutron"}, networks},
		{"addresses", []string{"networks"}, addresses},
		{"ports", []string{"neutron"}, ports},
		{"agents", []string{"neutron"}, agents},
		{"mappings", []string{"agents", "networks"}, mappings},
		{"images", []string{"formats"}, images},
		{"layers", []string{"glance", "placement"}, layers},
		{"servers", []string{"nova"}, servers},
	}
}

// examination is what the checks have learned so far, for those that come after.
type examination struct {
	open        Open
	cloud       Cloud
	session     openstack.Session
	services    []openstack.ComputeService // none where the user may not see them
	hypervisors []openstack.Hypervisor     // none where the user may not see them
	flavors     []openstack.Flavor         // the smallest first
	unfit       []openstack.Flavor         // that no host can take
	networks    []openstack.Network        // that the project may use
	agents      []openstack.Agent          // none where the user may not see them
	findings    []Finding
}

// found is what a check has found; empty where it was not made yet.
func (x *examination) found(check string) Finding {
	for _, finding := range x.findings {
		if finding.Check == check {
			return finding
		}
	}
	return Finding{}
}

// Examine makes every check, and fails only when it is interrupted.
func Examine(ctx context.Context, open Open) ([]Finding, error) {
	x := &examination{open: open}
	for _, next := range checks() {
		finding := Finding{State: Unknown}
		if missing := missing(next.after, x.findings); missing != "" {
			finding.Detail = "waits for " + missing
		} else {
			finding = next.look(ctx, x)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		finding.Check, finding.Detail, finding.Fix = next.name, oneLine(finding.Detail), oneLine(finding.Fix)
		x.findings = append(x.findings, finding)
	}
	return x.findings, nil
}

// missing is the first of the checks named that did not come out well enough to build on; empty when all did.
func missing(names []string, findings []Finding) string {
	for _, finding := range findings {
		if slices.Contains(names, finding.Check) && (finding.State == Failed || finding.State == Unknown) {
			return finding.Check
		}
	}
	return ""
}
