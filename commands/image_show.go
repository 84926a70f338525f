package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/openstack"
)

func imageShowCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "Show a Docker image in Glance, and which servers use it",
		ArgsUsage: "IMAGE",
		Description: "Only administrators see servers of other projects. Of an image whose layers are Glance images of their own, show says\n" +
			"which of them other images of the project have, too, and how many bytes that saves. For this it reads which layers\n" +
			"each image needs.\n\n" +
			examples(
				"ndock image show web:1",
				"ndock image show web:1 -f value -c Servers"),
		Flags:  outputFlags(),
		Action: func(c *cli.Context) error { return imageShow(c, s) },
	}
}

func imageShow(c *cli.Context, s Streams) error {
	args, err := exactly(c, "IMAGE")
	if err != nil {
		return err
	}
	if err := outputStyle(c).Check(output.Names(imageDetails(openstack.Image{}, nil, nil))); err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	image, err := cloud.Image(c.Context, args[0])
	if err != nil {
		return err
	}
	used, err := cloud.ServersByImage(c.Context)
	if err != nil {
		return err
	}
	uses, err := layerUses(c, s, cloud, image)
	if err != nil {
		return err
	}
	return outputStyle(c).Show(s.Out, imageDetails(image, used[image.ID], uses))
}

// layerUses returns nil, and says why, where the archives cannot be read: the image can be shown without.
func layerUses(c *cli.Context, s Streams, cloud *openstack.Cloud, image openstack.Image) ([]openstack.LayerUse, error) {
	if !image.Layered || !outputStyle(c).Wants("Layer Images", "Shared Size") {
		return []openstack.LayerUse{}, nil
	}
	uses, err := cloud.LayerUses(c.Context, image, listReader(newProgress(c, s)))
	if err != nil && c.Context.Err() == nil {
		warnings(c)(err.Error())
		return nil, nil
	}
	return uses, err
}

// imageDetails are the fields of an image that these servers use, and that leaves out these layers; nil where they are not known.
func imageDetails(image openstack.Image, servers []openstack.Server, uses []openstack.LayerUse) []output.Field {
	return append(imageFields(image),
		output.Field{Name: "Layered", Value: image.Layered},
		output.Field{Name: "Layer Images", Value: layerTexts(uses)},
		output.Field{Name: "Shared Size", Value: sharedSize(uses)},
		output.Field{Name: "Checksum", Value: orNone(image.Checksum)},
		output.Field{Name: "Protected", Value: image.Protected},
		output.Field{Name: "Servers", Value: list(serverNames(servers))},
	)
}

// layerTexts describe the layers that are images of their own.
func layerTexts(uses []openstack.LayerUse) any {
	if uses == nil {
		return nil
	}
	var texts []string
	for _, use := range uses {
		texts = append(texts, fmt.Sprintf("%d: %s, %d bytes, in %d other images", use.Number, use.Digest, use.Size, use.Others))
	}
	return list(texts)
}

// sharedSize is how many bytes of the layers other images need, too.
func sharedSize(uses []openstack.LayerUse) any {
	if uses == nil {
		return nil
	}
	var size int64
	for _, use := range uses {
		if use.Others > 0 {
			size += use.Size
		}
	}
	return size
}

func serverNames(servers []openstack.Server) []string {
	var names []string
	for _, server := range servers {
		names = append(names, server.Name)
	}
	return names
}
