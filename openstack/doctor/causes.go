package doctor

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ndock/openstack"
)

// cause is why a server could not be booted, and what mends it.
type cause struct{ means, fix string }

// known is a cause by words that Nova or ndock say of it; the first that matches counts.
type known struct {
	words string // a regular expression
	cause func(ctx context.Context, x *examination, server openstack.Server) cause
}

// causes has those that are told by their words.
func causes() []known {
	return []known{
		{`is not mapped to any cell`, always("Nova's scheduler chose a host that is mapped to no cell", discover)},
		{`No valid host was found`, noHost},
		{`Exhausted all hosts`, notStarted},
		{`No (more IP|fixed IP) addresses|No more addresses`, always("its network has no free address", "openstack subnet create --network NETWORK --subnet-range RANGE NAME")},
		{`Binding failed for port|Failed to allocate the network|Virtual Interface creation failed`, notWired},
		{`it is for linux/\S+, and this host is linux/[a-z0-9]+`, otherPlatform},
		{`[Nn]o command specified|executable file not found|: no such file or directory|it has no command`, noCommand},
		{`(disk image|not a Docker archive|no tar archive|manifest\.json|it is empty|it is cut off|out of it)`, always("its image's bytes are no Docker archive, whoever put them into Glance", "ndock image push-glance IMAGE")},
		{`is missing|is not in Glance`, always("its image lacks a layer", "ndock image push-glance --force IMAGE")},
	}
}

func always(means, fix string) func(context.Context, *examination, openstack.Server) cause {
	return func(context.Context, *examination, openstack.Server) cause { return cause{means, fix} }
}

// diagnose finds the cause; it is empty where what Nova says is all there is.
func (x *examination) diagnose(ctx context.Context, server openstack.Server) cause {
	if server.Status != "ERROR" {
		return ended(server)
	}
	for _, one := range causes() {
		if regexp.MustCompile(one.words).MatchString(server.Fault) {
			return one.cause(ctx, x, server)
		}
	}
	return cause{fix: "ndock show " + word(server.ID)}
}

// ended is told of a server whose process is over: a shell without a terminal, or a command that fails.
func ended(server openstack.Server) cause {
	return cause{
		fmt.Sprintf("a server runs as long as its command, and 'ndock logs %s' shows what that said", server.ID),
		bootCommand(server),
	}
}

func noCommand(_ context.Context, _ *examination, server openstack.Server) cause {
	return cause{"its image has no such command, or none: give one", bootCommand(server)}
}

func bootCommand(server openstack.Server) string {
	return fmt.Sprintf("ndock boot --image %s --flavor FLAVOR NAME -- COMMAND", word(server.ImageID))
}

// otherPlatform reads the host's platform in the fault, which the agent puts there.
func otherPlatform(_ context.Context, _ *examination, server openstack.Server) cause {
	hosts := regexp.MustCompile(`this host is (linux/[a-z0-9]+)`).FindStringSubmatch(server.Fault)
	return cause{"its image was made for other processors", fmt.Sprintf("ndock image push-glance --force --platform %s IMAGE", hosts[1])}
}

// notWired has the command of the checks of agents, if they have found who it is.
func notWired(_ context.Context, x *examination, _ openstack.Server) cause {
	means := "Neutron could not wire its port: no agent that wires ports is alive on its host, or none there has the network's physical network"
	for _, check := range []string{"agents", "mappings"} {
		if found := x.found(check); found.Fix != "" {
			return cause{means, found.Fix}
		}
	}
	return cause{means, "openstack network agent list --host HOST"}
}

// notStarted is told where a host was chosen and could not start the server, and then another, until there was none. Nova
// keeps to itself why, as when Neutron binds no port, or a disk is full.
func notStarted(_ context.Context, x *examination, _ openstack.Server) cause {
	for _, check := range []string{"agents", "mappings"} {
		if found := x.found(check); found.Fix != "" {
			return cause{"the hosts that were chosen could not start it, see " + check, found.Fix}
		}
	}
	return cause{"the hosts that were chosen could not start it: nova-compute's log there says why, and the command what is down", "ndock node status"}
}

// noHost looks for what keeps all hosts from taking the server: Nova tells nobody but its log. It says a little: that there
// are not enough hosts where Placement had some, and nothing where it had none.
func noHost(ctx context.Context, x *examination, server openstack.Server) cause {
	some := strings.Contains(server.Fault, "not enough hosts")
	image := x.imageOf(ctx, server)
	switch {
	case some && image.HypervisorType != "" && image.HypervisorType != "docker":
		return cause{"its image is for hypervisor_type " + image.HypervisorType, setType("docker", []openstack.Image{image})}
	}
	if why, wrong := x.wrongProcessor(ctx, image, some); wrong {
		return why
	}
	smaller := fmt.Sprintf("ndock boot --image %s --flavor FLAVOR NAME", word(server.ImageID))
	if slices.ContainsFunc(x.unfit, func(flavor openstack.Flavor) bool { return flavor.Name == server.Flavor }) {
		return cause{fmt.Sprintf("no host can take a server of flavor %s, see room", server.Flavor), cmp.Or(x.found("room").Fix, smaller)}
	}
	for _, check := range []string{"cells", "hypervisors", "room"} {
		if found := x.found(check); found.State == Failed {
			return cause{"see " + check, found.Fix}
		}
	}
	if !some {
		return cause{fmt.Sprintf("no host that is up had what flavor %s asks for: another one may fit, and 'ndock doctor' tells an administrator more", server.Flavor), smaller}
	}
	return cause{"what keeps all hosts from taking it, 'ndock doctor' tells an administrator", ""}
}

// platforms are Docker's names of processors, where they are not Nova's.
var platforms = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}

// wrongProcessor tells whether an image is for processors that no host has. Where nobody may know what hosts have, that is a
// guess, if there were hosts.
func (x *examination) wrongProcessor(ctx context.Context, image openstack.Image, some bool) (cause, bool) {
	known, doubt := x.processors(ctx), ""
	if len(known) == 0 && some {
		known, doubt = []string{"x86_64"}, "maybe " // which most hosts have
	}
	if image.Architecture == "" || len(known) == 0 || slices.Contains(known, image.Architecture) {
		return cause{}, false
	}
	return cause{
		fmt.Sprintf("its image is for processors that are %s, and %sno host's are", image.Architecture, doubt),
		"ndock image push-glance --force --platform " + word("linux/"+cmp.Or(platforms[known[0]], known[0])) + " IMAGE",
	}, true
}

// processors returns what processors the hosts have, as Nova names them; none where one host does not tell.
func (x *examination) processors(ctx context.Context) []string {
	var all []string
	for _, host := range x.dockerHosts() {
		traits, err := x.cloud.Traits(ctx, host.ID)
		i := slices.IndexFunc(traits, func(trait string) bool { return strings.HasPrefix(trait, processorTrait) })
		if err != nil || i < 0 {
			return nil
		}
		all = append(all, strings.ToLower(strings.TrimPrefix(traits[i], processorTrait)))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// processorTrait begins what a host says of the processors that its servers can have.
const processorTrait = "COMPUTE_ARCH_"

// imageOf is empty where the image is gone.
func (x *examination) imageOf(ctx context.Context, server openstack.Server) openstack.Image {
	image, err := x.cloud.Image(ctx, server.ImageID)
	if err != nil {
		return openstack.Image{}
	}
	return image
}
