"""The science, shared by box and centre: from pixels to templates to scores.

    registry   which models there are, where they come from, whether a file is the one that was meant
    fetch      models from a mirror or their public address into the store
    prepare    a published model made ready to load (batch axis freed)
    runtime    Session: arrays in, arrays out, whatever engine runs the model (onnx_session, tflite_session)
    golden     a model tried before it is used: known pictures, expected outputs
    pixels     a picture of which parts can be had as BGR: an array, or the planes of a decoder
    geometry   boxes, overlaps, similarity transforms
    detect     picture to Faces (boxes, five landmarks, scores)
    decoding   what a detector's outputs mean
    quality    how usable a face is: size between the eyes, pose, sharpness, exposure
    align      picture and landmarks to a chip in the embedder's layout
    embed      chips to templates (unit vectors)
    compare    Gallery: templates and their owners; exact search; fusion

Nothing here knows a model by name, and nothing here imports anything of ours but `edge.errors`.
"""
