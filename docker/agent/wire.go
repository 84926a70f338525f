// Package agent has the types of the agent's API, HTTP and JSON on a unix socket, and a client for ndock's own commands. The
// other caller is the shim in Nova (novadriver/nova/virt/docker/agent.py).
package agent

import "time"

// Socket is where the agent listens.
const Socket = "/run/ndock/agent.sock"

// ImageHeader carries the Image of a snapshot, as JSON, before its bytes.
const ImageHeader = "Ndock-Image"

// DigestHeader carries the digest of an image's manifest, before an archive that leaves layers out.
const DigestHeader = "Ndock-Image-Digest"

// ShortTimeout is how long a request may take that moves no files: less than the shim waits, so that it hears the reason.
const ShortTimeout = 50 * time.Second

// Version answers GET /v1/version.
type Version struct {
	Agent  string `json:"agent"`
	Engine string `json:"engine"` // Docker Engine's
	API    string `json:"api"`    // of Docker Engine, as negotiated

	LastFailure *Failure `json:"last_failure,omitempty"` // none since it was started, if it is not there
}

// Failure is a request that failed because of this host, and not because of the request.
type Failure struct {
	At      time.Time `json:"at"`
	Request string    `json:"request"`
	Reason  string    `json:"reason"`
}

// Host answers GET /v1/host: what this machine can give to servers, and uses already.
type Host struct {
	Architecture  string `json:"architecture"` // as Nova names it
	CPUModel      string `json:"cpu_model"`
	VCPUs         int    `json:"vcpus"`
	MemoryMB      int    `json:"memory_mb"`
	MemoryUsedMB  int    `json:"memory_used_mb"`
	DiskGB        int    `json:"disk_gb"` // of the file system that holds Docker's data
	DiskUsedGB    int    `json:"disk_used_gb"`
	EngineVersion int    `json:"engine_version"` // 20.10.24 is 20010024, as Nova counts versions
	Uptime        string `json:"uptime"`         // as uptime(1) prints it

	MemoryForeignMB int        `json:"memory_foreign_mb"` // held by containers that are no servers
	DiskForeignGB   int        `json:"disk_foreign_gb"`   // used by all but servers: images, other containers, other files
	RootDisks       RootDisks  `json:"root_disks"`
	NUMANodes       []NUMANode `json:"numa_nodes"` // with all CPUs that are online
	PageKB          int        `json:"page_kb"`
	Runtimes        []string   `json:"runtimes"`        // that flavors can name, and that work here
	Lacks           []string   `json:"lacks,omitempty"` // what servers go without here, a sentence each

	Devices []DeviceClass `json:"devices,omitempty"` // that servers can be given
}

// DeviceClass is a resource class of Placement, whose units are devices of this host.
type DeviceClass struct {
	Class string `json:"class"`
	Kind  string `json:"kind"`  // as CDI specifications call it; empty where the operator has taken the class away
	Total int    `json:"total"` // all that there are, and those that servers have and that are gone
}

// RootDisks says whether this host holds servers to the disks of their flavors.
type RootDisks struct {
	Limited bool   `json:"limited"`
	Reason  string `json:"reason"` // by what, or why not
}

// NUMANode is a set of CPUs and the memory that is near to them.
type NUMANode struct {
	ID       int     `json:"id"`
	CPUs     []int   `json:"cpus"`
	Siblings [][]int `json:"siblings"` // the threads of each core
	MemoryMB int     `json:"memory_mb"`
}

// LeftOutLayer is a layer that the archive of an image leaves out. A Glance image of its own has its bytes.
type LeftOutLayer struct {
	Digest   string `json:"digest"`   // sha256:… of the stored bytes
	DiffID   string `json:"diff_id"`  // sha256:… of the uncompressed layer
	ChainID  string `json:"chain_id"` // sha256:…, of it and all below it
	Size     int64  `json:"size"`     // of the stored bytes
	Image    string `json:"image"`    // Glance's id, as the archive says; a hint
	Checksum string `json:"checksum"` // SHA-512 in hexadecimal of the stored bytes, as Glance says that it has computed it; empty where it does not
}

// LeftOutLayers is what POST /v1/images/ID/layers asks about, and the first part of an image that is sent with layers.
type LeftOutLayers struct {
	Layers []LeftOutLayer `json:"layers"` // lowest first
}

// NeededLayers answers POST /v1/images/ID/layers.
type NeededLayers struct {
	Needed []string `json:"needed"` // the digests of those that this host lacks, lowest first
}

// State is the state of a container, as Nova knows it.
type State string

// The states.
const (
	Running State = "running"
	Paused  State = "paused"
	Stopped State = "stopped"
	Crashed State = "crashed" // Docker could not even remove it
)

// Instance is a server's container.
type Instance struct {
	UUID        string `json:"uuid"` // the server's
	Name        string `json:"name"` // when its container was made
	ProjectID   string `json:"project_id"`
	ContainerID string `json:"container_id"`
	State       State  `json:"state"`
	ExitCode    int    `json:"exit_code"`  // of a stopped one
	OOMKilled   bool   `json:"oom_killed"` // likewise: its process was killed for want of memory
}

// Spec is what a container is made from (PUT /v1/instances/UUID). All of it but the flavor and the
// host's CPUs is the tenant's.
type Spec struct {
	Name          string            `json:"name"`
	Hostname      string            `json:"hostname"`
	DNSDomain     string            `json:"dns_domain"` // of the hostname, as Neutron has it; may be empty
	ProjectID     string            `json:"project_id"`
	UserID        string            `json:"user_id"`
	ImageID       string            `json:"image_id"` // Glance's
	VCPUs         int               `json:"vcpus"`
	MemoryMB      int64             `json:"memory_mb"`
	RootGB        int               `json:"root_gb"`
	Metadata      map[string]string `json:"metadata"`
	UserData      string            `json:"user_data"` // base64
	OSCommandLine string            `json:"os_command_line"`

	ExtraSpecs map[string]string `json:"extra_specs"` // the flavor's
	PinnedCPUs []int             `json:"pinned_cpus"` // of this host, for this server alone
	SharedCPUs []int             `json:"shared_cpus"` // of this host, for all that are not pinned; none means any
	NUMANodes  []int             `json:"numa_nodes"`  // of this host, that the server is to stay on; none means any

	Source      Source            `json:"source"`
	New         bool              `json:"new"`          // it is built for the first time, so its image has to fit its flavor's disk
	PublicKey   string            `json:"public_key"`   // for root's authorized_keys; empty for none
	Password    string            `json:"password"`     // root's; empty for that of the image
	Files       []File            `json:"files"`        // written before the first start
	ConfigDrive map[string][]byte `json:"config_drive"` // by path below its root; base64 in JSON; none: no drive

	Devices map[string]int `json:"devices"` // how many of the host it gets, by resource class
}

// DeviceNames answers PUT /v1/instances/UUID/devices, which is asked what a Spec says of devices.
type DeviceNames struct {
	Devices []string `json:"devices"` // as CDI specifications name them
}

// Source says which files a container gets.
type Source string

// The sources. Those other than FromImage need a backup of the server.
const (
	FromImage  Source = ""       // the image's
	FromBackup Source = "aside"  // the backup's, as in a resize
	Rescue     Source = "rescue" // the image's, and the backup's below /mnt/rescue
)

// A File is written into a container, as root's own.
type File struct {
	Path    string `json:"path"`
	Content []byte `json:"content"` // base64 in JSON
}

// Password is the body of PUT /v1/instances/UUID/password.
type Password struct {
	Password string `json:"password"`
}

// Diagnostics answers GET /v1/instances/UUID/diagnostics.
type Diagnostics struct {
	State       State     `json:"state"`
	ExitCode    int       `json:"exit_code"`  // of the last run, once that is over
	OOMKilled   bool      `json:"oom_killed"` // likewise: its process was killed for want of memory
	Error       string    `json:"error"`      // why the last start failed
	Health      string    `json:"health"`     // healthy, unhealthy, starting; empty where the image has no health check
	StartedAt   time.Time `json:"started_at"`
	Uptime      *int      `json:"uptime"` // in seconds; null when it does not run
	FinishedAt  time.Time `json:"finished_at"`
	CPUTime     uint64    `json:"cpu_time"`     // in nanoseconds, since the start
	MemoryUsed  uint64    `json:"memory_used"`  // in bytes
	MemoryLimit uint64    `json:"memory_limit"` // likewise
	Processes   uint64    `json:"processes"`
	NICs        []NIC     `json:"nics"`
	Devices     []string  `json:"devices"` // of the host, by their names in CDI specifications
}

// NIC is what went through an interface since the start.
type NIC struct {
	Name      string `json:"name"` // in the container
	MAC       string `json:"mac_address"`
	RxBytes   uint64 `json:"rx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	RxErrors  uint64 `json:"rx_errors"`
	RxDropped uint64 `json:"rx_dropped"`
	TxBytes   uint64 `json:"tx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
	TxErrors  uint64 `json:"tx_errors"`
	TxDropped uint64 `json:"tx_dropped"`
}

// CachedImages is the body of DELETE /v1/images: those that no server has used for so long are removed.
type CachedImages struct {
	UnusedSeconds int `json:"unused_seconds"`
}

// Serial asks for a server's serial console (POST /v1/instances/UUID/serial), which is a TCP port that it has to itself.
type Serial struct {
	Address  string `json:"address"`  // to listen on
	Ports    string `json:"ports"`    // FIRST:END, as Nova writes a range; END is not in it
	Lifetime int    `json:"lifetime"` // in seconds: how long the port, and a path, is good for
	Admit    string `json:"admit"`    // AdmitPath, AdmitNext, or empty for none
}

// A console's port admits one connection for each time that Nova announced one.
const (
	AdmitPath = "path" // the one that sends CONNECT with the path of the answer
	AdmitNext = "next" // the next one, within seconds: the proxies of Nova before 34 cannot send a path
)

// SerialPort answers Serial.
type SerialPort struct {
	Port int    `json:"port"`
	Path string `json:"path,omitempty"`
}

// Presence answers GET /v1/images/ID.
type Presence struct {
	Present bool `json:"present"`
}

// Image is what Docker knows of an image.
type Image struct {
	ID           string `json:"id"`           // sha256:…, computed by Docker from its bytes
	Architecture string `json:"architecture"` // as Glance names it
	Size         int64  `json:"size"`         // unpacked, in bytes
}

// Commit begins the answer of POST /v1/instances/UUID/commit, which stays open. The image can be read as long as it is.
type Commit struct {
	Image
	Layers []CommitLayer `json:"layers"` // lowest first; none where they cannot be had one by one
}

// CommitLayer is a layer that can be read (GET /v1/commits/ID/layers/DIFF_ID), as a plain tar.
type CommitLayer struct {
	DiffID   string       `json:"diff_id"`  // sha256:… of that tar
	Size     int64        `json:"size"`     // of that tar, in bytes
	Unpacked int64        `json:"unpacked"` // of the files in it
	Stored   []StoredForm `json:"stored"`   // other bytes that are this layer, as this host has found
}

// StoredForm is a layer as it was stored, which is compressed as a rule.
type StoredForm struct {
	Digest   string `json:"digest"`   // sha256:… of the stored bytes
	Checksum string `json:"checksum"` // SHA-512 of them in hexadecimal, as Glance computes it
}

// StoredLayers is the body of POST /v1/commits/ID/archive.
type StoredLayers struct {
	Layers []StoredLayer `json:"layers"` // all of the image's, lowest first
}

// StoredLayer says how a layer is stored: as an image of Glance, or, without one, in the archive, as a plain tar.
type StoredLayer struct {
	DiffID    string `json:"diff_id"`
	Digest    string `json:"digest"` // of the stored bytes
	Size      int64  `json:"size"`   // of the stored bytes
	MediaType string `json:"media_type"`
	Image     string `json:"image"` // Glance's id, which the archive gives as a hint; empty for none
}

// Orphan is something of a server's that no server has any more. GET /v1/orphans answers with what there is; DELETE
// /v1/orphans removes what is sure to be one, and answers with that.
type Orphan struct {
	Kind   string    `json:"kind"`   // port, network, server, image or container
	Name   string    `json:"name"`   // a link's name, a container's id, a server's, an image's, or a container's name
	Server string    `json:"server"` // whose it was; empty where that is not known
	Since  time.Time `json:"since"`  // when it was touched last; zero where that is not known
	Sure   bool      `json:"sure"`   // false for what may be a server that is only being made
}

// Event is a line of GET /v1/events.
type Event struct {
	Event string `json:"event"`          // hello, alive, started, stopped, paused, resumed
	UUID  string `json:"uuid,omitempty"` // of the server
}
