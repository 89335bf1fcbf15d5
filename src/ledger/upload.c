/*
 * upload - the words of its states.
 */
#include "presignd/upload.h"

const struct str upload_state_words[4] = {
    [UPLOAD_GRANTED] = STR_INIT("granted"),
    [UPLOAD_COMPLETED] = STR_INIT("completed"),
    [UPLOAD_CANCELLED] = STR_INIT("cancelled"),
    [UPLOAD_EXPIRED] = STR_INIT("expired"),
};
