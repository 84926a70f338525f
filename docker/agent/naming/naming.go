// Package naming has the names and labels that the agent gives to things in Docker Engine, and by which it finds them
// again. A server's container is known by its name and its label together: an image can bring labels, but no name.
package naming

import (
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// The labels of a server's container.
const (
	LabelServer  = "ndock.server"
	LabelName    = "ndock.name"
	LabelImage   = "ndock.image"
	LabelProject = "ndock.project"
	LabelDomain  = "ndock.domain"
	LabelRuntime = "ndock.runtime"
	LabelDevices = "ndock.devices" // how many it has
)

const prefix = "ndock-"

// Container is the name of a server's container.
func Container(uuid string) string { return prefix + uuid }

// Backup is what a server's container is called while another takes its place: in a resize until that is confirmed, and
// while the server is rescued. A backup is on no list of servers, and its end is no event.
func Backup(uuid string) string { return prefix + uuid + "-aside" }

// Unfinished is what a server's container is called while it is made: until Docker has it, and the agent has given it what Docker
// cannot. One that stays so is no server's, as when the agent has died and Docker has not.
func Unfinished(uuid string) string { return prefix + uuid + "-unfinished" }

// RescueVolume is the volume by which a rescued server sees its own files.
func RescueVolume(uuid string) string { return prefix + uuid + "-rescue" }

// RuntimeTrait is what Placement calls a host on which this runtime works.
func RuntimeTrait(runtime string) string { return "CUSTOM_NDOCK_RUNTIME_" + strings.ToUpper(runtime) }

// ImageTag is the one name that a Glance image has in Docker. Its bytes never change, so neither does what the name
// stands for; and only the agent gives it, whatever an archive calls itself.
func ImageTag(glanceID string) string { return "ndock/glance:" + glanceID }

// GlanceID returns the id of the Glance image that a name in Docker stands for. A name that the agent cannot have given is
// somebody else's.
func GlanceID(tag string) (id string, ours bool) {
	id, ours = strings.CutPrefix(tag, ImageTag(""))
	return id, ours && IsUUID(id)
}

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// IsUUID tells whether text is an id as Nova and Glance write it.
func IsUUID(text string) bool { return uuidPattern.MatchString(text) }

// IsServer tells whether a container is a server's, and no backup.
func IsServer(c container.Summary) bool {
	uuid := c.Labels[LabelServer]
	return len(c.Names) == 1 && uuid != "" && c.Names[0] == "/"+Container(uuid)
}

// IsBackup tells whether a container is the backup of the server that its label names.
func IsBackup(c container.Summary) bool {
	return slices.Contains(c.Names, "/"+Backup(c.Labels[LabelServer]))
}

// ServerIDs returns the distinct servers that these containers belong to, backups included.
func ServerIDs(containers []container.Summary) []string {
	var uuids []string
	for _, c := range containers {
		uuid := c.Labels[LabelServer]
		named := slices.Contains(c.Names, "/"+Container(uuid)) || IsBackup(c)
		if uuid != "" && named && !slices.Contains(uuids, uuid) {
			uuids = append(uuids, uuid)
		}
	}
	return uuids
}
