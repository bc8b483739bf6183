/* Lets something come and go before the camera of the kernel's vivid driver: its white square, for
 * 6 s in every 16, switched by the driver's own control while nightjar-edge watches. */

#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The control of this name; 0 where there is none. */
static unsigned control(int camera, const char *name) {
	struct v4l2_queryctrl found = {.id = V4L2_CTRL_FLAG_NEXT_CTRL};
	while (ioctl(camera, VIDIOC_QUERYCTRL, &found) == 0) {
		if (strcmp((const char *)found.name, name) == 0)
			return found.id;
		found.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
	}
	return 0;
}

int main(void) {
	int camera = open("/dev/video0", O_RDWR);
	unsigned square = camera < 0 ? 0 : control(camera, "Show Square");
	if (square == 0) {
		fprintf(stderr, "square: /dev/video0 is no vivid camera\n");
		sleep(5);
		return 1;
	}
	for (int there = 0;; there = !there) {
		struct v4l2_control wish = {.id = square, .value = there};
		if (ioctl(camera, VIDIOC_S_CTRL, &wish) != 0)
			return 1;
		sleep(there ? 6 : 10);
	}
}
