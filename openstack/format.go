package openstack

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// Formats are those of images that Glance takes.
type Formats struct {
	Container []string
	Disk      []string
}

// Formats asks Glance for them, by the schema that it checks images with.
func (c *Cloud) Formats(ctx context.Context) (Formats, error) {
	client, err := c.glance()
	if err != nil {
		return Formats{}, err
	}
	type choice struct {
		Enum []string // one may be null, for an image that says none
	}
	var schema struct {
		Properties struct {
			Container choice `json:"container_format"`
			Disk      choice `json:"disk_format"`
		}
	}
	_, err = client.Get(ctx, client.ServiceURL("schemas", "image"), &schema, nil)
	if err != nil {
		return Formats{}, explain("ask Glance for its formats", err)
	}
	return Formats{named(schema.Properties.Container.Enum), named(schema.Properties.Disk.Enum)}, nil
}

func named(formats []string) []string {
	return slices.DeleteFunc(formats, func(format string) bool { return format == "" })
}

// layeredProperties are those that a push sets for layers. An image that is sent whole does without them.
var layeredProperties = []string{propertyTrait, propertyStored, propertyLayer, propertyLayerDiffID, propertyLayerType}

// registryProperties are those that a registry on Glance sets beside them.
var registryProperties = []string{propertyManifestType, propertySubject, propertyTaggedAt, propertyUntaggedAt}

// Reserved are properties that pushes set, and that Glance keeps for others by its property protections.
type Reserved struct {
	Properties []string
	Layered    bool // an image that is sent whole does without all of them
}

// Reserved has Glance refuse an image with the properties of a push. It makes none: the image has the id of one that is there,
// and Glance looks at the id last. An error says what else Glance has against an image of this project.
func (c *Cloud) Reserved(ctx context.Context, taken string) (Reserved, error) {
	found, properties := Reserved{Layered: true}, propertiesOf(DockerImage{Digest: "any"})
	for _, name := range slices.Concat(layeredProperties, registryProperties) {
		properties[name] = "any"
	}
	for {
		name, err := c.refusedProperty(ctx, taken, properties)
		if err != nil || name == "" {
			slices.Sort(found.Properties)
			return found, err
		}
		delete(properties, name) // and ask about the rest
		found.Properties = append(found.Properties, name)
		found.Layered = found.Layered && (slices.Contains(layeredProperties, name) || slices.Contains(registryProperties, name))
	}
}

// refusedProperty returns one of the properties that Glance refuses; an empty one where it refuses nothing but the id.
func (c *Cloud) refusedProperty(ctx context.Context, taken string, properties map[string]string) (string, error) {
	const op = "try to make an image with an id that is taken"
	client, err := c.glance()
	if err != nil {
		return "", err
	}
	request := images.CreateOpts{ID: taken, Name: "ndock doctor", ContainerFormat: "docker", DiskFormat: "raw", Properties: properties}
	made, err := images.Create(ctx, client, request).Extract()
	switch {
	case err == nil:
		return "", errors.Join(&Error{Op: op, Err: errors.New("Glance made one")}, abandon(client, made.ID))
	case gophercloud.ResponseCodeIs(err, http.StatusConflict):
		return "", nil
	}
	failure := explain(op, err)
	var said *serviceError
	if errors.As(failure, &said) {
		name := reservedProperty(said.message)
		if _, ours := properties[name]; ours {
			return name, nil
		}
	}
	return "", failure
}
