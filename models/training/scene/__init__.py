"""The sample scene: people who do not exist, walking down a street that does not exist.

    photographs -> looks (aligned) -> registration (one shape) -> FaceModel -> casting -> portraits -> street

`looks` crops and aligns photographs; `registration` brings every look into one shape by optical flow;
`face_model` learns how shapes and complexions vary, between people and within one; `casting` draws people
from it and keeps those who are like nobody; `portrait` gives them hair, clothes and light; `street` lets
them walk; `measure` reads the finished files as the product would.
"""
