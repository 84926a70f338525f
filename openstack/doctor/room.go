package doctor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ndock/openstack"
)

// mostFlavors is how many flavors Placement is asked about: the smallest ones.
const mostFlavors = 20

// room is the check that a host can take a server of each flavor, by the answer that Nova's scheduler gets from Placement.
func room(ctx context.Context, x *examination) Finding {
	fitting, err := x.fitting(ctx)
	switch {
	case openstack.Refused(err):
		return unknown("only an administrator may ask Placement for hosts")
	case err != nil:
		return unanswered(err)
	case fitting != "" && otherType(x.hypervisors) != "":
		return well("a host of type docker can take a server of flavor %s; flavors that none can take may be for others", fitting)
	case len(x.unfit) == 0:
		return well("a host can take a server of each flavor")
	}
	return x.tooLarge(ctx, fitting)
}

// fitting returns the smallest flavor that a host can take, if there is one, and keeps those that none can.
func (x *examination) fitting(ctx context.Context) (string, error) {
	fitting := ""
	for _, flavor := range x.flavors[:min(len(x.flavors), mostFlavors)] {
		fits, err := x.cloud.Fits(ctx, flavor)
		switch {
		case err != nil:
			return "", err
		case !fits:
			x.unfit = append(x.unfit, flavor)
		default:
			fitting = cmp.Or(fitting, flavor.Name)
		}
	}
	return fitting, nil
}

// tooLarge says what hosts lack for the first flavor that none can take.
func (x *examination) tooLarge(ctx context.Context, fitting string) Finding {
	first := x.unfit[0]
	plain := first
	plain.Specs = nil
	fits, err := x.cloud.Fits(ctx, plain)
	if err != nil {
		return unanswered(err)
	}
	if specs := demanding(first); fits && len(specs) > 0 {
		return Finding{
			State: severity(fitting), Fix: fmt.Sprintf("openstack flavor unset%s %s", options(specs), word(first.ID)),
			Detail: fmt.Sprintf("no host has what the extra specs of flavor %s ask for: %s%s", first.Name, openstack.Abbreviate(specs), x.otherUnfit()),
		}
	}
	lacking, err := x.lacking(ctx, first)
	if err != nil {
		return unanswered(err)
	}
	if fitting == "" {
		return broken("ndock node setup", "no host can take a server of any flavor: for %s it lacks %s; delete servers, make smaller flavors, or have the command add a host", first.Name, lacking)
	}
	return doubtful("ndock boot --image IMAGE --flavor "+word(fitting)+" NAME", "no host can take a server of flavor %s: it lacks %s%s", first.Name, lacking, x.otherUnfit())
}

// lacking asks for each of a flavor's resources alone.
func (x *examination) lacking(ctx context.Context, flavor openstack.Flavor) (string, error) {
	var all []string
	for _, one := range []struct {
		name   string
		flavor openstack.Flavor
	}{
		{fmt.Sprintf("%d VCPU", flavor.VCPUs), openstack.Flavor{Name: flavor.Name, VCPUs: flavor.VCPUs}},
		{fmt.Sprintf("%d MiB of memory", flavor.RAM), openstack.Flavor{Name: flavor.Name, RAM: flavor.RAM}},
		{fmt.Sprintf("%d GiB of disk", flavor.Disk), openstack.Flavor{Name: flavor.Name, Disk: flavor.Disk}},
	} {
		if one.flavor.VCPUs+one.flavor.RAM+one.flavor.Disk == 0 {
			continue
		}
		fits, err := x.cloud.Fits(ctx, one.flavor)
		if err != nil {
			return "", err
		}
		if !fits {
			all = append(all, one.name)
		}
	}
	if len(all) == 0 {
		return "all of it at once", nil
	}
	return strings.Join(all, ", "), nil
}

// otherUnfit names the other flavors that no host can take.
func (x *examination) otherUnfit() string {
	var names []string
	for _, flavor := range x.unfit[1:] {
		names = append(names, flavor.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return "; nor of " + openstack.Abbreviate(names)
}

// demanding are the extra specs that Placement looks at.
func demanding(flavor openstack.Flavor) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(flavor.Specs)), func(key string) bool {
		return !strings.HasPrefix(key, "trait") && !strings.HasPrefix(key, "resources") && key != "hw:cpu_policy"
	})
}

func options(specs []string) string {
	text := ""
	for _, key := range specs {
		text += " --property " + word(key)
	}
	return text
}

// severity is an error where no flavor fits.
func severity(fitting string) State {
	if fitting == "" {
		return Failed
	}
	return Warning
}
